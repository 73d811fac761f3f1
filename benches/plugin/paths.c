/*
 * A TCG plugin for QEMU: how often each instruction of the hypervisor ran in each row of the bench
 * guest.
 *
 *   -plugin paths.so,lo=0xADDRESS,hi=0xADDRESS,out=FILE,vectors=0xADDRESS...
 *
 * counts what runs at [lo, hi), where only the hypervisor has code. The guest executes HINT #100
 * (riscv64: SLTI x0, x0, 100) before and after the counted runs of a row; the n-th pair is row n, and
 * all else is row 0. FILE gets a line "row address count opcode", in hexadecimal but for row and
 * count. Its last line is "masked address address count": the longest that a CPU had interrupts
 * masked since the first row began, from where to where, in instructions of [lo, hi). An exception to
 * one of the `vectors` masks them, and so does MSR DAIFSet (CSRRCI of sstatus.SIE); MSR DAIFClr and
 * ERET (CSRRSI, SRET) let them in, and in WFI a CPU waits for them.
 *
 * With firmware=0xADDRESS,end=0xADDRESS, where only the machine's firmware has code, a line
 * "firmware row count" says how many instructions of it ran in a row.
 *
 * It counts with -icount, where all CPUs run in one thread. Distributions ship no header for the
 * interface (docs/devel/tcg-plugins in QEMU's sources), so its few functions are declared here.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint64_t plugin_id;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
/* The first of its members: what else it has isn't read. */
struct qemu_info {
    const char *target_name;
};

typedef void (*tb_translated)(plugin_id, struct qemu_plugin_tb *);
typedef void (*insn_executed)(unsigned vcpu, void *user);
typedef void (*machine_ended)(plugin_id, void *user);

extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, tb_translated);
extern void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *, insn_executed,
                                                   int registers, void *user);
extern void qemu_plugin_register_atexit_cb(plugin_id, machine_ended, void *user);
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *);
extern size_t qemu_plugin_insn_data(const struct qemu_plugin_insn *, void *, size_t);

/* qemu_plugin_insn_data has these arguments since version 3 of the interface. */
int qemu_plugin_version = 3;

enum { ROWS = 64, CPUS = 16, TABLES = 4 };

/* The shortest instruction; riscv64 has some of two bytes. */
enum { STEP = 2 };

/* Opcodes that an architecture has one of. */
static const struct opcodes {
    const char *target;
    uint32_t mark, eret, wfi;
    /* What masks interrupts and lets them in, but for the bits that `any` has. */
    uint32_t masks, opens, any;
    /* How much behind a vector's address still is its first instruction. */
    unsigned vectors;
} targets[] = {
    /* MSR DAIFSet and DAIFClr with the bit of IRQs (Arm ARM, C6.2, MSR immediate). */
    { "aarch64", 0xd5032c9f, 0xd69f03e0, 0xd503207f, 0xd50342df, 0xd50342ff, 0xd00, 0x800 },
    /* CSRRCI and CSRRSI of sstatus with 2, to any register. */
    { "riscv64", 0x06402013, 0x10200073, 0x10500073, 0x10017073, 0x10016073, 0xf80, 1 },
};
static const struct opcodes *target;

/* What an instruction does to the mask of interrupts. */
enum effect { NONE, MASKS, ENDS };

struct place {
    uint64_t address;
    uint32_t opcode;
    enum effect effect;
    uint64_t counts[ROWS];
};

static uint64_t lo, hi;
static uint64_t firmware, firmware_end, firmware_counts[ROWS];
static const char *out;
static struct place **places;
static unsigned marks;
static uint64_t vectors[TABLES];
static unsigned tables;
static struct {
    bool masked;
    uint64_t length, begin;
} cpus[CPUS];
static uint64_t longest, longest_begin, longest_end;

/* The stretch of a CPU's instructions with interrupts masked, which `place` goes on with. */
static void stretch(unsigned vcpu, const struct place *place)
{
    if (place->effect == MASKS && !cpus[vcpu].masked) {
        cpus[vcpu].masked = true;
        cpus[vcpu].length = 0;
    }
    if (!cpus[vcpu].masked)
        return;
    if (!cpus[vcpu].length++)
        cpus[vcpu].begin = place->address;
    if (place->effect != ENDS)
        return;
    if (cpus[vcpu].length > longest && marks) {
        longest = cpus[vcpu].length;
        longest_begin = cpus[vcpu].begin;
        longest_end = place->address;
    }
    /* Behind WFI they are still masked, but a new stretch begins. */
    cpus[vcpu].masked = place->opcode == target->wfi;
    cpus[vcpu].length = 0;
}

static enum effect effect_of(uint64_t address, uint32_t opcode)
{
    if ((opcode & ~target->any) == target->masks)
        return MASKS;
    if ((opcode & ~target->any) == target->opens || opcode == target->eret ||
        opcode == target->wfi)
        return ENDS;
    for (unsigned n = 0; n < tables; n++)
        if (address >= vectors[n] && address < vectors[n] + target->vectors)
            return MASKS;
    return NONE;
}

static unsigned row_now(void)
{
    unsigned row = marks % 2 ? (marks + 1) / 2 : 0;

    return row < ROWS ? row : 0;
}

static void executed(unsigned vcpu, void *user)
{
    struct place *place = user;

    place->counts[row_now()]++;
    if (vcpu < CPUS)
        stretch(vcpu, place);
}

static void executed_firmware(unsigned vcpu, void *user)
{
    (void)vcpu;
    (void)user;
    firmware_counts[row_now()]++;
}

static void ended(plugin_id id, void *user);

static void marked(unsigned vcpu, void *user)
{
    (void)vcpu;
    marks++;
    /* What counts firmware is small: written after each row, it is there when QEMU is killed. */
    if (firmware_end && marks % 2 == 0)
        ended(0, user);
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
    (void)id;
    for (size_t n = 0; n < qemu_plugin_tb_n_insns(tb); n++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, n);
        uint64_t address = qemu_plugin_insn_vaddr(insn);
        uint32_t opcode = 0;

        qemu_plugin_insn_data(insn, &opcode, sizeof opcode);
        if (opcode == target->mark)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, marked, 0, NULL);
        if (address >= firmware && address < firmware_end)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, executed_firmware, 0, NULL);
        if (address < lo || address >= hi)
            continue;
        struct place **place = &places[(address - lo) / STEP];
        if (!*place)
            *place = calloc(1, sizeof **place);
        if (!*place)
            abort();
        (*place)->address = address;
        (*place)->opcode = opcode;
        (*place)->effect = effect_of(address, opcode);
        qemu_plugin_register_vcpu_insn_exec_cb(insn, executed, 0, *place);
    }
}

static void ended(plugin_id id, void *user)
{
    FILE *file = fopen(out, "w");

    (void)id;
    (void)user;
    if (!file) {
        perror(out);
        return;
    }
    for (uint64_t n = 0; n < (hi - lo) / STEP; n++)
        for (unsigned row = 0; places[n] && row < ROWS; row++)
            if (places[n]->counts[row])
                fprintf(file, "%u %" PRIx64 " %" PRIu64 " %08" PRIx32 "\n", row, lo + n * STEP,
                        places[n]->counts[row], places[n]->opcode);
    for (unsigned row = 0; row < ROWS; row++)
        if (firmware_counts[row])
            fprintf(file, "firmware %u %" PRIu64 "\n", row, firmware_counts[row]);
    fprintf(file, "masked %" PRIx64 " %" PRIx64 " %" PRIu64 "\n", longest_begin,
            longest_end, longest);
    fclose(file);
}

int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
    for (size_t n = 0; n < sizeof targets / sizeof *targets; n++)
        if (!strcmp(info->target_name, targets[n].target))
            target = &targets[n];
    for (int n = 0; n < argc; n++) {
        if (!strncmp(argv[n], "lo=", 3))
            lo = strtoull(argv[n] + 3, NULL, 0);
        else if (!strncmp(argv[n], "hi=", 3))
            hi = strtoull(argv[n] + 3, NULL, 0);
        else if (!strncmp(argv[n], "firmware=", 9))
            firmware = strtoull(argv[n] + 9, NULL, 0);
        else if (!strncmp(argv[n], "end=", 4))
            firmware_end = strtoull(argv[n] + 4, NULL, 0);
        else if (!strncmp(argv[n], "out=", 4))
            out = strdup(argv[n] + 4);
        else if (!strncmp(argv[n], "vectors=", 8) && tables < TABLES)
            vectors[tables++] = strtoull(argv[n] + 8, NULL, 0);
        else
            return -1;
    }
    if (!target || !out || lo >= hi || hi - lo > 1 << 26)
        return -1;
    places = calloc((hi - lo) / STEP, sizeof *places);
    if (!places)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
