/* Handles: what Perl holds of the core's objects, and how their lives end. */
#include "glue.h"

int glue_is_foreign(const glue_core *core) {
    return core->generation != pagi_generation;
}

static void free_kept(pTHX_ glue_core *core);

/* ---- any of them ---- */

/* Ties something of the core's to a value of Perl's. */
void glue_handle_put(pTHX_ SV *sv, MGVTBL *kind, void *what) {
    MAGIC *mg = sv_magicext(sv, NULL, PERL_MAGIC_ext, kind, (char *)what, 0);
    mg->mg_flags |= MGf_DUP;
}

/* What is tied to it; NULL where nothing of that kind is. */
void *glue_handle_get(pTHX_ SV *sv, MGVTBL *kind, const char *name) {
    MAGIC *mg = SvTYPE(sv) >= SVt_PVMG ? mg_findext(sv, PERL_MAGIC_ext, kind) : NULL;
    if (mg && !mg->mg_ptr) croak("%s was used from another interpreter", name);
    return mg ? mg->mg_ptr : NULL;
}

/* In a cloned interpreter the handle is empty: it belongs to the one that made it. */
int glue_handle_dup(pTHX_ MAGIC *mg, CLONE_PARAMS *params) {
    PERL_UNUSED_ARG(params);
    mg->mg_ptr = NULL;
    return 0;
}

/* ---- servers ---- */

void glue_core_release(pTHX_ glue_core *core) {
    if (--core->refs) return;
    free_kept(aTHX_ core);
    glue_forget_tls(aTHX_ core);
    if (core->server && !glue_is_foreign(core)) pagi_server_free(core->server);
    SvREFCNT_dec(core->app);
    SvREFCNT_dec(core->loop);
    SvREFCNT_dec(core->pattern);
    SvREFCNT_dec(core->access_log);
    SvREFCNT_dec(core->logger);
    SvREFCNT_dec(core->on_log);
    SvREFCNT_dec(core->on_stopped);
    SvREFCNT_dec(core->on_idle);
    SvREFCNT_dec(core->on_request);
    SvREFCNT_dec(core->on_limit);
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

static MGVTBL core_vtbl = { NULL, NULL, NULL, NULL, free_core, NULL, glue_handle_dup, NULL };

SV *glue_core_wrap(pTHX_ glue_core *core) {
    SV *inner = newSV(0);
    glue_handle_put(aTHX_ inner, &core_vtbl, core);
    return sv_bless(newRV_noinc(inner), gv_stashpvs("PAGI::Server::Core", GV_ADD));
}

glue_core *glue_core_of(pTHX_ SV *sv) {
    glue_core *core = SvROK(sv)
        ? glue_handle_get(aTHX_ SvRV(sv), &core_vtbl, "a PAGI::Server::Core object") : NULL;
    if (!core) croak("not a PAGI::Server::Core object");
    return core;
}

/* ---- requests ---- */

static int free_request(pTHX_ SV *sv, MAGIC *mg) {
    PERL_UNUSED_ARG(sv);
    if (mg->mg_ptr) glue_request_release(aTHX_ (glue_request *)mg->mg_ptr);
    return 0;
}

static MGVTBL request_vtbl = { NULL, NULL, NULL, NULL, free_request, NULL, glue_handle_dup,
                              NULL };

/* Requests kept for reuse: closures and objects that nobody held on to cost a tenth of a small
 * request to make anew. */
#define MOST_KEPT 64

/* The parts that hold a count on their request: $receive, $send, pagi.transport. */
#define PARTS 3

static glue_request *take_kept(glue_core *core) {
    glue_request *request = core->kept;
    if (!request) return NULL;
    core->kept = request->next;
    core->kept_count--;
    return request;
}

glue_request *glue_request_new(pTHX_ glue_core *core, pagi_stream *stream) {
    glue_request *request = take_kept(core);
    if (!request) {
        Newxz(request, 1, glue_request);
        request->core = core;
        request->receive = glue_closure(aTHX_ glue_xs_receive, request);
        request->send = glue_closure(aTHX_ glue_xs_send, request);
    }
    request->stream = stream;
    request->kind = pagi_stream_kind(stream);
    core->refs++;
    request->refs++;
    request->is_running = 1;
    request->is_gone = 0;
    request->next = core->running;
    request->link = &core->running;
    if (request->next) request->next->link = &request->next;
    core->running = request;
    core->running_count++;
    pagi_stream_set_token(stream, PTR2UV(request));
    return request;
}

static void drop_stream(glue_request *request) {
    pagi_stream *stream = request->stream;
    request->stream = NULL;
    if (!stream || glue_is_foreign(request->core)) return;
    pagi_stream_set_token(stream, 0);
    pagi_stream_free(stream);
}

/* Lets go of the parts; each that nobody else holds gives its count back. */
static void drop_parts(pTHX_ glue_request *request) {
    CV *receive = request->receive, *send = request->send;
    HV *transport = request->transport, *scope = request->scope, *connection = request->connection;
    request->receive = request->send = NULL;
    request->transport = request->scope = request->connection = NULL;
    SvREFCNT_dec((SV *)scope);
    SvREFCNT_dec((SV *)connection);
    SvREFCNT_dec((SV *)receive);
    SvREFCNT_dec((SV *)send);
    SvREFCNT_dec((SV *)transport);
}

static void free_request_memory(pTHX_ glue_request *request) {
    SvREFCNT_dec(request->future);
    glue_forget(aTHX_ &request->receivers);
    SvREFCNT_dec(request->senders);
    Safefree(request);
}

/* Nobody else holds it, weakly or not, and it is as it was made: of that class, without a tie,
 * with no magic but the request's own, if it is a part. */
static int is_untouched(pTHX_ SV *sv, HV *stash, int is_part) {
#if PERL_VERSION_GE(5, 22, 0)
    MAGIC *mg = sv ? SvMAGIC(sv) : NULL;
    int as_made = is_part ? mg && mg->mg_virtual == &request_vtbl && !mg->mg_moremagic : !mg;
    return sv && as_made && SvREFCNT(sv) == 1 && !SvREADONLY(sv)
        && (SvOBJECT(sv) ? SvSTASH(sv) : NULL) == stash && !sv_get_backrefs(sv);
#else
    return 0;
#endif
}

static int is_reusable(pTHX_ glue_request *request) {
    my_cxt_t *cxt;
    if (PL_dirty || request->refs != PARTS || !request->scope) return 0;
    cxt = glue_tables(aTHX);
    if (!is_untouched(aTHX_ (SV *)request->scope, NULL, 0)) return 0;
    hv_clear(request->scope);
    return is_untouched(aTHX_ (SV *)request->receive, NULL, 1)
        && is_untouched(aTHX_ (SV *)request->send, NULL, 1)
        && is_untouched(aTHX_ (SV *)request->connection, cxt->connection_stash, 0)
        && is_untouched(aTHX_ (SV *)request->transport, cxt->transport_stash, 1)
        && HvUSEDKEYS(request->transport) == 0;
}

/* Keeps a request that is over for the next one; 0 if something of it is still held. */
static int keep(pTHX_ glue_request *request) {
    glue_core *core = request->core;
    if (core->kept_count >= MOST_KEPT || !is_reusable(aTHX_ request)) return 0;
    hv_clear(request->connection);
    glue_forget(aTHX_ &request->receivers);
    SvREFCNT_dec(request->senders);
    request->senders = NULL;
    drop_stream(request);
    request->next = core->kept;
    core->kept = request;
    core->kept_count++;
    return 1;
}

static void free_kept(pTHX_ glue_core *core) {
    glue_request *request;
    while ((request = take_kept(core))) {
        request->core = NULL;
        drop_parts(aTHX_ request);
        free_request_memory(aTHX_ request);
    }
}

/* The last holder is gone: the running call, both closures and pagi.transport. */
void glue_request_release(pTHX_ glue_request *request) {
    glue_core *core = request->core;
    request->refs--;
    if (!core) return;          /* its memory is being freed by free_kept */
    if (request->refs == PARTS && !request->is_running && request->receive && !request->is_dirty) {
        if (!keep(aTHX_ request)) {
            request->refs++;
            drop_parts(aTHX_ request);
            request->refs--;
        }
        else {
            glue_core_release(aTHX_ core);
            return;
        }
    }
    if (request->refs) return;
    drop_stream(request);
    free_request_memory(aTHX_ request);
    glue_core_release(aTHX_ core);
}

/* The call is over: the request runs no more. */
void glue_request_end(pTHX_ glue_request *request) {
    SV *future = request->future;
    request->is_running = 0;
    *request->link = request->next;
    if (request->next) request->next->link = request->link;
    request->next = NULL;
    request->core->running_count--;
    glue_forget(aTHX_ &request->receivers);
    request->future = NULL;
    SvREFCNT_dec(future);
}

/* Ties a request's life to a closure or an object. */
void glue_attach(pTHX_ SV *sv, glue_request *request) {
    glue_handle_put(aTHX_ sv, &request_vtbl, request);
    request->refs++;
}

/* The request behind a closure or an object; NULL where it has none. */
glue_request *glue_request_of(pTHX_ SV *sv) {
    return glue_handle_get(aTHX_ sv, &request_vtbl, "a PAGI stream");
}

CV *glue_closure(pTHX_ XSUBADDR_t code, glue_request *request) {
    CV *cv = newXS(NULL, code, __FILE__);
    glue_attach(aTHX_ (SV *)cv, request);
    return cv;
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
