/* What comes from the core, a batch at a time, and what leaves with it. */
#include "glue.h"

#include <time.h>

/* Requests per wake-up after which the loop's other watchers get their turn. */
#define BATCH 192

/* Nanoseconds after which they do, however few the requests. */
#define BATCH_NANOS 2000000

/* Nanoseconds after which answers leave although the batch goes on. */
#define FLUSH_NANOS 200000

/* ---- what leaves ---- */

static void print_lines(pTHX_ glue_core *core) {
    SV *args[2];
    if (!core->access_log || !SvCUR(core->lines)) return;
    args[0] = core->access_log;
    args[1] = sv_2mortal(core->lines);
    core->lines = newSVpvs("");
    glue_call(aTHX_ "PAGI::Server::Dispatch::access", 2, args);
}

/* Log lines first, so that a line is written before its client can see the end. */
void glue_flush(pTHX_ glue_core *core) {
    glue_post_dirty(aTHX_ core);
    print_lines(aTHX_ core);
    if (core->wants_wake) {
        core->wants_wake = 0;
        pagi_server_wake(core->server);
    }
}

/* ---- what comes ---- */

static void log_line(pTHX_ glue_core *core, pagi_arrival *arrival) {
    SV *args[2];
    args[0] = sv_2mortal(glue_string(aTHX_ arrival->level));
    args[1] = sv_2mortal(glue_owned(aTHX_ arrival->text));
    sv_utf8_decode(args[1]);    /* characters, as in the lines that Perl makes */
    if (core->on_log) glue_call_sv(aTHX_ core->on_log, 2, args);
}

static void dispatch(pTHX_ glue_core *core, pagi_arrival *arrival) {
    switch (arrival->kind) {
    case PAGI_OPENED:
        glue_open(aTHX_ core, arrival->stream);
        break;
    case PAGI_NEWS:
        glue_tell(aTHX_ arrival->stream);
        break;
    case PAGI_ACCESS: {
        SV *line = sv_2mortal(glue_owned(aTHX_ arrival->text));
        if (core->access_log) sv_catpvf(core->lines, "%" SVf "\n", SVfARG(line));
        break;
    }
    case PAGI_LOG:
        log_line(aTHX_ core, arrival);
        break;
    case PAGI_WARNING:
        glue_warn(aTHX_ "", sv_2mortal(glue_owned(aTHX_ arrival->text)));
        break;
    case PAGI_STOPPED:
        if (core->on_stopped) glue_call_sv(aTHX_ core->on_stopped, 0, NULL);
        break;
    }
    glue_post_dirty(aTHX_ core);
}

static void leave_batch(pTHX_ void *data) {
    glue_core *core = (glue_core *)data;
    core->depth--;
    glue_core_release(aTHX_ core);
}

static IV nanos(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (IV)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* How many times slower than a processor the program runs: callgrind's slowness would end each
 * batch after one request, and count what no processor does (benches/instructions). */
static IV slowdown(void) {
    static IV factor = 0;
    if (!factor) {
        const char *given = getenv("PAGI_BENCH_SLOWDOWN");
        factor = given ? atol(given) : 1;
        if (factor < 1) factor = 1;
    }
    return factor;
}

/* Takes news until there is none, or until the batch is full. */
void glue_drain(pTHX_ glue_core *core) {
    const IV flush_nanos = FLUSH_NANOS * slowdown(), batch_nanos = BATCH_NANOS * slowdown();
    IV start = nanos(), flushed = start;
    int taken = 0;
    IV now;
    pagi_arrival arrival;
    if (glue_is_foreign(core)) return;
    ENTER;
    core->refs++;
    core->depth++;
    SAVEDESTRUCTOR_X(leave_batch, core);
    glue_log_to(aTHX_ core);
    for (;;) {
        if (!pagi_server_next(core->server, &arrival)) {
            glue_flush(aTHX_ core);
            if (pagi_server_sleep(core->server)) break;
            continue;
        }
        ENTER;
        SAVETMPS;
        dispatch(aTHX_ core, &arrival);
        FREETMPS;
        LEAVE;
        /* The application may have forked, and the child returned: the core is not its. */
        if (glue_is_foreign(core)) break;
        now = nanos();
        if (now - flushed > flush_nanos) {
            glue_flush(aTHX_ core);
            flushed = now;
        }
        if (++taken >= BATCH || now - start > batch_nanos) {
            glue_flush(aTHX_ core);
            pagi_server_defer(core->server);
            break;
        }
    }
    LEAVE;
}
