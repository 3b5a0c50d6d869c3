/* Counts guest instructions of an emulated process between two marks, for qemu-user 7.2 (plugin API version 1).
 *
 * The guest marks a region with the otherwise unused system call 0x7ed6: first argument 1 starts it, 2 ends it.
 * Every translated block adds one to its own counter each time it runs; a region's count is the sum over blocks of
 * runs times instructions. Written to $EDGEGAN_COUNTS, one region after another:
 *   #region NUMBER INSTRUCTIONS
 *   RUNS OPCODES        with $EDGEGAN_BLOCKS set: one line a block that ran, opcodes as 8 hex digits each
 * Debian packages no plugin header, so the prototypes used stand here.
 */
#include <inttypes.h>
#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))
#define MARK 0x7ed6
#define INLINE_ADD 0

typedef uint64_t plugin_id;
struct block;
struct instruction;
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
extern void qemu_plugin_register_vcpu_tb_exec_inline(struct block *, int, void *, uint64_t);
extern size_t qemu_plugin_tb_n_insns(const struct block *);
extern struct instruction *qemu_plugin_tb_get_insn(const struct block *, size_t);
extern const void *qemu_plugin_insn_data(const struct instruction *);
extern void qemu_plugin_register_vcpu_syscall_cb(
    plugin_id, void (*)(plugin_id, unsigned, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, uint64_t,
                        uint64_t, uint64_t, uint64_t));

EXPORT int qemu_plugin_version = 1;

struct counter {
    uint64_t runs, runs_before;
    uint32_t length;
    uint32_t *opcodes;
    struct counter *next;
};
static struct counter *counters;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FILE *output;
static int with_blocks, regions;

static void translated(plugin_id id, struct block *block) {
    (void)id;
    struct counter *counter = calloc(1, sizeof *counter);
    counter->length = qemu_plugin_tb_n_insns(block);
    counter->opcodes = malloc(4 * counter->length);
    for (uint32_t i = 0; i < counter->length; i++)
        memcpy(&counter->opcodes[i], qemu_plugin_insn_data(qemu_plugin_tb_get_insn(block, i)), 4);
    pthread_mutex_lock(&lock);
    counter->next = counters;
    counters = counter;
    pthread_mutex_unlock(&lock);
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD, &counter->runs, 1);
}

static void write_region(void) {
    uint64_t total = 0;
    for (struct counter *c = counters; c; c = c->next)
        total += (c->runs - c->runs_before) * c->length;
    fprintf(output, "#region %d %" PRIu64 "\n", regions++, total);
    for (struct counter *c = counters; with_blocks && c; c = c->next) {
        if (c->runs == c->runs_before)
            continue;
        fprintf(output, "%" PRIu64 " ", c->runs - c->runs_before);
        for (uint32_t i = 0; i < c->length; i++)
            fprintf(output, "%08x", c->opcodes[i]);
        fputc('\n', output);
    }
    fflush(output);
}

static void system_call(plugin_id id, unsigned vcpu, int64_t number, uint64_t action, uint64_t b, uint64_t c,
                        uint64_t d, uint64_t e, uint64_t f, uint64_t g, uint64_t h) {
    (void)id, (void)vcpu, (void)b, (void)c, (void)d, (void)e, (void)f, (void)g, (void)h;
    if (number != MARK)
        return;
    pthread_mutex_lock(&lock);
    if (action == 1)
        for (struct counter *counter = counters; counter; counter = counter->next)
            counter->runs_before = counter->runs;
    if (action == 2)
        write_region();
    pthread_mutex_unlock(&lock);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv) {
    (void)info, (void)argc, (void)argv;
    const char *path = getenv("EDGEGAN_COUNTS");
    with_blocks = getenv("EDGEGAN_BLOCKS") != NULL;
    output = path ? fopen(path, "w") : NULL;
    if (!output) {
        fprintf(stderr, "count_plugin: cannot write $EDGEGAN_COUNTS\n");
        return 1;
    }
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_vcpu_syscall_cb(id, system_call);
    return 0;
}
