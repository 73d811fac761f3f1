/*
 * A TCG plugin for QEMU: how often each instruction of the hypervisor ran in each row of the bench
 * guest.
 *
 *   -plugin paths.so,lo=0xADDRESS,hi=0xADDRESS,out=FILE
 *
 * counts what runs at [lo, hi), where only the hypervisor has code. The guest executes HINT #100
 * before and after the counted runs of a row; the n-th pair is row n, and all else is row 0. FILE
 * gets a line "row address count opcode", in hexadecimal but for row and count.
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

enum { ROWS = 64, MARK = 0xd5032c9f };

struct place {
    uint32_t opcode;
    uint64_t counts[ROWS];
};

static uint64_t lo, hi;
static const char *out;
static struct place **places;
static unsigned marks;

static void executed(unsigned vcpu, void *user)
{
    unsigned row = marks % 2 ? (marks + 1) / 2 : 0;

    (void)vcpu;
    ((struct place *)user)->counts[row < ROWS ? row : 0]++;
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
        (*place)->opcode = opcode;
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
