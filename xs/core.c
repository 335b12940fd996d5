/* A server's Perl-side half: built from the arguments that PAGI::Server::Core checked. */
#include "glue.h"

#include <fcntl.h>
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

static int is_true(pTHX_ HV *args, const char *name) {
    SV **slot = hv_fetch(args, name, (I32)strlen(name), 0);
    return slot && SvTRUE(*slot);
}

/* The format of the access log; its bytes live as long as the arguments. */
static pagi_text log_format(pTHX_ HV *args) {
    SV **slot = hv_fetchs(args, "log_format", 0);
    pagi_text log = { NULL, 0 };
    STRLEN len;
    if (!slot || !SvOK(*slot)) return log;
    log.ptr = SvPVutf8(*slot, len);
    log.len = len;
    return log;
}

/* What an application sees, and how it is logged. What was there may be in use just now. */
static void take_changeable(pTHX_ glue_core *core, HV *args) {
    if (core->app) sv_2mortal(core->app);
    if (core->access_log) sv_2mortal(core->access_log);
    if (core->logger) sv_2mortal(core->logger);
    if (core->extensions) sv_2mortal((SV *)core->extensions);
    core->app = taken(aTHX_ args, "app");
    core->access_log = taken(aTHX_ args, "access_log");
    core->logger = taken(aTHX_ args, "logger");
    core->extensions = taken_hash(aTHX_ args, "extensions");
    core->validate = is_true(aTHX_ args, "validate_events") ? 1 : 0;
}

/* For requests that begin from now on. */
void glue_core_reconfigure(pTHX_ glue_core *core, HV *args) {
    pagi_text format = log_format(aTHX_ args);
    int fullflush = is_true(aTHX_ args, "fullflush");
    pagi_owned error;
    glue_flush(aTHX_ core);     /* the lines so far are for the old log */
    error = pagi_server_reconfigure(core->server, format, fullflush ? 1 : 0);
    if (error.ptr) croak_sv(sv_2mortal(glue_owned(aTHX_ error)));
    take_changeable(aTHX_ core, args);
}

SV *glue_core_start(pTHX_ HV *args) {
    glue_core *core;
    HV *options = taken_hash(aTHX_ args, "settings");
    pagi_text log = log_format(aTHX_ args);
    int fullflush = is_true(aTHX_ args, "fullflush");
    pagi_owned error = { NULL, 0 };
    pagi_server *server;
    pagi_setting *settings;
    size_t count;
    sv_2mortal((SV *)options);
    settings = glue_settings(aTHX_ options, &count);
    server = start_masked(settings, count, log, fullflush ? 1 : 0, &error);
    if (!server) croak_sv(sv_2mortal(glue_owned(aTHX_ error)));
    Newxz(core, 1, glue_core);
    core->server = server;
    core->refs = 1;
    core->generation = pagi_generation;
    take_changeable(aTHX_ core, args);
    core->loop = taken(aTHX_ args, "loop");
    core->on_log = taken(aTHX_ args, "on_log");
    core->on_stopped = taken(aTHX_ args, "on_stopped");
    core->on_idle = taken(aTHX_ args, "on_idle");
    core->on_request = taken(aTHX_ args, "on_request");
    core->on_limit = taken(aTHX_ args, "on_limit");
    core->state = taken_hash(aTHX_ args, "state");
    core->lines = newSVpvs("");
    {
        SV *limit = taken(aTHX_ args, "request_limit");
        core->request_limit = limit ? SvUV(limit) : 0;
        SvREFCNT_dec(limit);
    }
    return glue_core_wrap(aTHX_ core);
}

/* Accepts on a duplicate of a listening socket; what is wrong with it, or NULL. */
SV *glue_core_listen(pTHX_ glue_core *core, int socket, SV *path) {
    pagi_text name = { NULL, 0 };
    pagi_owned error = { NULL, 0 };
    STRLEN len;
    int fd;
    if (glue_is_foreign(core)) croak("this process did not start the core");
    if (SvOK(path)) {
        name.ptr = SvPVutf8(path, len);
        name.len = len;
    }
    fd = fcntl(socket, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) return newSVpv(Strerror(errno), 0);
    return pagi_server_listen(core->server, fd, name, &error) ? NULL : glue_owned(aTHX_ error);
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
    glue_put(aTHX_ hash, "flags", glue_string(aTHX_ row.flags));
    glue_put(aTHX_ hash, "doc", glue_string(aTHX_ row.doc));
    return newRV_noinc((SV *)hash);
}

/* The kinds of fields, by their numbers. */
static const char *const KINDS[] = {
    "", "int", "bytes", "flag", "pairs", "path", "handle", "text", "number"
};

/* The vocabulary as data: for copies of events in Perl, and the documentation's checks. */
SV *glue_event_row(pTHX_ size_t index) {
    pagi_event_row_t row;
    HV *hash, *kinds;
    AV *fields;
    U8 at;
    if (!pagi_event_row(index, &row)) return NULL;
    hash = newHV();
    fields = newAV();
    glue_put(aTHX_ hash, "name", glue_string(aTHX_ row.name));
    glue_put(aTHX_ hash, "is_sent", newSViv(row.is_sent));
    kinds = newHV();
    for (at = 0; at < row.count; at++) {
        pagi_field_row *field = &row.fields[at];
        const char *kind = field->kind < C_ARRAY_LENGTH(KINDS) ? KINDS[field->kind] : "";
        av_push(fields, glue_string(aTHX_ field->name));
        (void)hv_store(kinds, field->name.ptr, (I32)field->name.len, newSVpv(kind, 0), 0);
    }
    glue_put(aTHX_ hash, "fields", newRV_noinc((SV *)fields));
    glue_put(aTHX_ hash, "kinds", newRV_noinc((SV *)kinds));
    return newRV_noinc((SV *)hash);
}
