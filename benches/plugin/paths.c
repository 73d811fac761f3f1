/*
 * A TCG plugin for QEMU: how often each instruction of the hypervisor ran in each row of the bench
 * guest.
 *
 *   -plugin paths.so,lo=0xADDRESS,hi=0xADDRESS,out=FILE,vectors=0xADDRESS...
 *
 * counts what runs at [lo, hi), where only the hypervisor has code. The guest executes HINT #100
 * before and after the counted runs of a row; the n-th pair is row n, and all else is row 0. FILE
 * gets a line "row address count opcode", in hexadecimal but for row and count. Its last line is
 * "masked address address count": the longest that a CPU had interrupts masked since the first row
 * began, from where to where, in instructions. An exception to one of the `vectors` masks them, and so
 * does MSR DAIFSet; MSR DAIFClr and ERET let them in, and in WFI a CPU waits for them.
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
struct qemu_info;

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

enum { ROWS = 64, CPUS = 16, TABLES = 4, MARK = 0xd5032c9f };

/* Opcodes. */
#define ERET 0xd69f03e0u
#define WFI 0xd503207fu

/* What an instruction does to the mask of interrupts. */
enum effect { NONE, MASKS, ENDS };

struct place {
    uint64_t address;
    uint32_t opcode;
    enum effect effect;
    uint64_t counts[ROWS];
};

static uint64_t lo, hi;
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
    cpus[vcpu].masked = place->opcode == WFI;
    cpus[vcpu].length = 0;
}

static enum effect effect_of(uint64_t address, uint32_t opcode)
{
    /* MSR DAIFSet and DAIFClr with the bit of IRQs (Arm ARM, C6.2, MSR immediate). */
    if ((opcode & 0xfffff2ff) == 0xd50342df)
        return MASKS;
    if ((opcode & 0xfffff2ff) == 0xd50342ff || opcode == ERET || opcode == WFI)
        return ENDS;
    for (unsigned n = 0; n < tables; n++)
        if (address >= vectors[n] && address < vectors[n] + 0x800)
            return MASKS;
    return NONE;
}

static void executed(unsigned vcpu, void *user)
{
    struct place *place = user;
    unsigned row = marks % 2 ? (marks + 1) / 2 : 0;

    place->counts[row < ROWS ? row : 0]++;
    if (vcpu < CPUS)
        stretch(vcpu, place);
}

static void marked(unsigned vcpu, void *user)
{
    (void)vcpu;
    (void)user;
    marks++;
}

static void translated(plugin_id id, struct qemu_plugin_tb *tb)
{
    (void)id;
    for (size_t n = 0; n < qemu_plugin_tb_n_insns(tb); n++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, n);
        uint64_t address = qemu_plugin_insn_vaddr(insn);
        uint32_t opcode = 0;

        qemu_plugin_insn_data(insn, &opcode, sizeof opcode);
        if (opcode == MARK)
            qemu_plugin_register_vcpu_insn_exec_cb(insn, marked, 0, NULL);
        if (address < lo || address >= hi)
            continue;
        struct place **place = &places[(address - lo) / 4];
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
    for (uint64_t n = 0; n < (hi - lo) / 4; n++)
        for (unsigned row = 0; places[n] && row < ROWS; row++)
            if (places[n]->counts[row])
                fprintf(file, "%u %" PRIx64 " %" PRIu64 " %08" PRIx32 "\n", row, lo + n * 4,
                        places[n]->counts[row], places[n]->opcode);
    fprintf(file, "masked %" PRIx64 " %" PRIx64 " %" PRIu64 "\n", longest_begin,
            longest_end, longest);
    fclose(file);
}

int qemu_plugin_install(plugin_id id, const struct qemu_info *info, int argc, char **argv)
{
    (void)info;
    for (int n = 0; n < argc; n++) {
        if (!strncmp(argv[n], "lo=", 3))
            lo = strtoull(argv[n] + 3, NULL, 0);
        else if (!strncmp(argv[n], "hi=", 3))
            hi = strtoull(argv[n] + 3, NULL, 0);
        else if (!strncmp(argv[n], "out=", 4))
            out = strdup(argv[n] + 4);
        else if (!strncmp(argv[n], "vectors=", 8) && tables < TABLES)
            vectors[tables++] = strtoull(argv[n] + 8, NULL, 0);
        else
            return -1;
    }
    if (!out || lo >= hi || hi - lo > 1 << 26)
        return -1;
    places = calloc((hi - lo) / 4, sizeof *places);
    if (!places)
        return -1;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, ended, NULL);
    return 0;
}
