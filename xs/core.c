/* A server's Perl-side half: built from the arguments that PAGI::Server::Core checked. */
#include "glue.h"

#include <signal.h>

static SV *taken(pTHX_ HV *args, const char *name) {
    SV **slot = hv_fetch(args, name, (I32)strlen(name), 0);
    return slot && SvOK(*slot) ? newSVsv(*slot) : NULL;
}

static HV *taken_hash(pTHX_ HV *args, const char *name) {
    SV **slot = hv_fetch(args, name, (I32)strlen(name), 0);
    if (!slot || !SvROK(*slot) || SvTYPE(SvRV(*slot)) != SVt_PVHV) return newHV();
    return (HV *)SvREFCNT_inc(SvRV(*slot));
}

/* The settings as the core reads them, in a mortal buffer. */
pagi_setting *glue_settings(pTHX_ HV *options, size_t *count) {
    SV *buffer = sv_2mortal(newSV(sizeof(pagi_setting) * (HvUSEDKEYS(options) + 1)));
    pagi_setting *settings = (pagi_setting *)SvPVX(buffer);
    HE *entry;
    *count = 0;
    hv_iterinit(options);
    while ((entry = hv_iternext(options))) {
        pagi_setting *setting = &settings[*count];
        I32 len;
        setting->name.ptr = hv_iterkey(entry, &len);
        setting->name.len = (size_t)len;
        setting->value = SvNV(HeVAL(entry));
        (*count)++;
    }
    return settings;
}

/* Starts a core with every signal blocked: its thread inherits the mask, and a signal that is
 * delivered there would run perl's handler on the wrong thread. */
static pagi_server *start_masked(const pagi_setting *settings, size_t count, pagi_text format,
                                 U8 fullflush, pagi_owned *error) {
    sigset_t all, before;
    pagi_server *server;
    sigfillset(&all);
    sigdelset(&all, SIGSEGV);
    sigdelset(&all, SIGBUS);
    sigdelset(&all, SIGFPE);
    sigdelset(&all, SIGILL);
    sigdelset(&all, SIGABRT);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    server = pagi_server_start(settings, count, format, fullflush, error);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return server;
}

SV *glue_core_start(pTHX_ HV *args) {
    glue_core *core;
    HV *options = taken_hash(aTHX_ args, "settings");
    SV *format = taken(aTHX_ args, "log_format");
    SV *fullflush = taken(aTHX_ args, "fullflush");
    pagi_text log = { NULL, 0 };
    pagi_owned error = { NULL, 0 };
    pagi_server *server;
    pagi_setting *settings;
    size_t count;
    STRLEN len;
    sv_2mortal((SV *)options);
    settings = glue_settings(aTHX_ options, &count);
    if (format) {
        sv_2mortal(format);
        log.ptr = SvPVutf8(format, len);
        log.len = len;
    }
    if (fullflush) sv_2mortal(fullflush);
    server = start_masked(settings, count, log, fullflush && SvTRUE(fullflush), &error);
    if (!server) croak_sv(sv_2mortal(glue_owned(aTHX_ error)));
    Newxz(core, 1, glue_core);
    core->server = server;
    core->refs = 1;
    core->generation = pagi_generation;
    core->app = taken(aTHX_ args, "app");
    core->loop = taken(aTHX_ args, "loop");
    core->access_log = taken(aTHX_ args, "access_log");
    core->on_log = taken(aTHX_ args, "on_log");
    core->on_stopped = taken(aTHX_ args, "on_stopped");
    core->on_idle = taken(aTHX_ args, "on_idle");
    core->on_request = taken(aTHX_ args, "on_request");
    core->on_limit = taken(aTHX_ args, "on_limit");
    core->state = taken_hash(aTHX_ args, "state");
    core->extensions = taken_hash(aTHX_ args, "extensions");
    core->lines = newSVpvs("");
    {
        SV *validate = taken(aTHX_ args, "validate_events");
        core->validate = validate && SvTRUE(validate);
        SvREFCNT_dec(validate);
    }
    {
        SV *limit = taken(aTHX_ args, "request_limit");
        core->request_limit = limit ? SvUV(limit) : 0;
        SvREFCNT_dec(limit);
    }
    return glue_core_wrap(aTHX_ core);
}

/* One row of the option table as a hash reference; NULL past the last. */
SV *glue_option(pTHX_ size_t index) {
    pagi_option_row_t row;
    HV *hash;
    if (!pagi_option_row(index, &row)) return NULL;
    hash = newHV();
    glue_put(aTHX_ hash, "name", glue_string(aTHX_ row.name));
    glue_put(aTHX_ hash, "kind", glue_string(aTHX_ row.kind));
    glue_put(aTHX_ hash, "choices", glue_string(aTHX_ row.choices));
    glue_put(aTHX_ hash, "default", glue_string(aTHX_ row.def));
    glue_put(aTHX_ hash, "min", newSVnv(row.min));
    glue_put(aTHX_ hash, "max", newSVnv(row.max));
    glue_put(aTHX_ hash, "side", glue_string(aTHX_ row.side));
    glue_put(aTHX_ hash, "later", glue_string(aTHX_ row.later));
    glue_put(aTHX_ hash, "flags", glue_string(aTHX_ row.flags));
    glue_put(aTHX_ hash, "doc", glue_string(aTHX_ row.doc));
    return newRV_noinc((SV *)hash);
}

/* The vocabulary as data, for the documentation's checks. */
SV *glue_event_row(pTHX_ size_t index) {
    pagi_event_row_t row;
    HV *hash;
    AV *fields;
    U8 at;
    if (!pagi_event_row(index, &row)) return NULL;
    hash = newHV();
    fields = newAV();
    glue_put(aTHX_ hash, "name", glue_string(aTHX_ row.name));
    glue_put(aTHX_ hash, "is_sent", newSViv(row.is_sent));
    for (at = 0; at < row.count; at++) av_push(fields, glue_string(aTHX_ row.fields[at].name));
    glue_put(aTHX_ hash, "fields", newRV_noinc((SV *)fields));
    return newRV_noinc((SV *)hash);
}
