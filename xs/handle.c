/* Handles: what Perl holds of the core's objects, and how their lives end. */
#include "glue.h"

int glue_is_foreign(const glue_core *core) {
    return core->generation != pagi_generation;
}

/* ---- servers ---- */

void glue_core_release(pTHX_ glue_core *core) {
    if (--core->refs) return;
    if (core->server && !glue_is_foreign(core)) pagi_server_free(core->server);
    SvREFCNT_dec(core->app);
    SvREFCNT_dec(core->loop);
    SvREFCNT_dec(core->access_log);
    SvREFCNT_dec(core->on_log);
    SvREFCNT_dec(core->on_stopped);
    SvREFCNT_dec(core->on_idle);
    SvREFCNT_dec(core->state);
    SvREFCNT_dec(core->extensions);
    SvREFCNT_dec(core->lines);
    Safefree(core);
}

static int free_core(pTHX_ SV *sv, MAGIC *mg) {
    PERL_UNUSED_ARG(sv);
    if (mg->mg_ptr) glue_core_release(aTHX_ (glue_core *)mg->mg_ptr);
    return 0;
}

/* In a cloned interpreter the handle is empty: it belongs to the one that made it. */
static int forget(pTHX_ MAGIC *mg, CLONE_PARAMS *params) {
    PERL_UNUSED_ARG(params);
    mg->mg_ptr = NULL;
    return 0;
}

static MGVTBL core_vtbl = { NULL, NULL, NULL, NULL, free_core, NULL, forget, NULL };

SV *glue_core_wrap(pTHX_ glue_core *core) {
    SV *inner = newSV(0);
    MAGIC *mg = sv_magicext(inner, NULL, PERL_MAGIC_ext, &core_vtbl, (char *)core, 0);
    SV *ref = newRV_noinc(inner);
    mg->mg_flags |= MGf_DUP;
    return sv_bless(ref, gv_stashpvs("PAGI::Server::Core", GV_ADD));
}

glue_core *glue_core_of(pTHX_ SV *sv) {
    MAGIC *mg = SvROK(sv) ? mg_findext(SvRV(sv), PERL_MAGIC_ext, &core_vtbl) : NULL;
    if (!mg) croak("not a PAGI::Server::Core object");
    if (!mg->mg_ptr) croak("PAGI::Server::Core object used from another interpreter");
    return (glue_core *)mg->mg_ptr;
}

/* ---- requests ---- */

glue_request *glue_request_new(pTHX_ glue_core *core, pagi_stream *stream) {
    glue_request *request;
    Newxz(request, 1, glue_request);
    request->stream = stream;
    request->core = core;
    core->refs++;
    request->refs = 1;
    request->is_running = 1;
    request->next = core->running;
    request->link = &core->running;
    if (request->next) request->next->link = &request->next;
    core->running = request;
    core->running_count++;
    pagi_stream_set_token(stream, PTR2UV(request));
    return request;
}

/* The last holder is gone: the running call, both closures and pagi.transport. */
void glue_request_release(pTHX_ glue_request *request) {
    glue_core *core = request->core;
    if (--request->refs) return;
    if (!glue_is_foreign(core)) {
        pagi_stream_set_token(request->stream, 0);
        pagi_stream_free(request->stream);
    }
    SvREFCNT_dec(request->scope);
    SvREFCNT_dec(request->connection);
    SvREFCNT_dec(request->transport);
    SvREFCNT_dec(request->future);
    SvREFCNT_dec(request->receivers);
    SvREFCNT_dec(request->senders);
    Safefree(request);
    glue_core_release(aTHX_ core);
}

static int free_request(pTHX_ SV *sv, MAGIC *mg) {
    PERL_UNUSED_ARG(sv);
    if (mg->mg_ptr) glue_request_release(aTHX_ (glue_request *)mg->mg_ptr);
    return 0;
}

static MGVTBL request_vtbl = { NULL, NULL, NULL, NULL, free_request, NULL, forget, NULL };

/* Ties a request's life to a closure or an object. */
void glue_attach(pTHX_ SV *sv, glue_request *request) {
    MAGIC *mg = sv_magicext(sv, NULL, PERL_MAGIC_ext, &request_vtbl, (char *)request, 0);
    mg->mg_flags |= MGf_DUP;
    request->refs++;
}

/* The request behind a closure or an object; NULL where it has none. */
glue_request *glue_request_of(pTHX_ SV *sv) {
    MAGIC *mg = SvMAGICAL(sv) || SvMAGIC(sv)
        ? mg_findext(sv, PERL_MAGIC_ext, &request_vtbl) : NULL;
    if (mg && !mg->mg_ptr) croak("a PAGI stream was used from another interpreter");
    return mg ? (glue_request *)mg->mg_ptr : NULL;
}

SV *glue_closure(pTHX_ XSUBADDR_t code, glue_request *request) {
    CV *cv = newXS(NULL, code, __FILE__);
    glue_attach(aTHX_ (SV *)cv, request);
    return newRV_noinc((SV *)cv);
}

/* ---- output that waits for the end of the dispatch ---- */

void glue_mark_dirty(pTHX_ glue_request *request) {
    glue_core *core = request->core;
    if (request->is_dirty) return;
    request->is_dirty = 1;
    request->refs++;
    request->next_dirty = core->dirty;
    core->dirty = request;
}

void glue_post_dirty(pTHX_ glue_core *core) {
    while (core->dirty) {
        glue_request *request = core->dirty;
        core->dirty = request->next_dirty;
        request->is_dirty = 0;
        pagi_stream_post(request->stream);
        core->wants_wake = 1;
        glue_request_release(aTHX_ request);
    }
}
