/* Futures, made and read without a method call where Future is pure Perl. */
#include "glue.h"

/* Another reference to the same; a copy takes twice as long. */
static SV *same(pTHX_ SV *sv) {
    return SvROK(sv) ? newRV_inc(SvRV(sv)) : newSVsv(sv);
}

/* The shared Future of a $send that did not wait. */
SV *glue_done(pTHX) {
    return same(aTHX_ glue_tables(aTHX)->done);
}

static SV *method(pTHX_ SV *invocant, const char *name, SV *argument) {
    dSP;
    SV *result;
    ENTER;
    SAVETMPS;
    PUSHMARK(SP);
    EXTEND(SP, 2);
    PUSHs(invocant);
    if (argument) PUSHs(argument);
    PUTBACK;
    call_method(name, G_SCALAR);
    SPAGAIN;
    result = SvREFCNT_inc(POPs);
    PUTBACK;
    FREETMPS;
    LEAVE;
    return result;
}

/* A done Future with one value, which is taken over. */
SV *glue_done_with(pTHX_ SV *value) {
    my_cxt_t *cxt = glue_tables(aTHX);
    HV *hash;
    AV *result;
    sv_2mortal(value);
    if (!cxt->plain_futures) {
        return method(aTHX_ sv_2mortal(newSVpvs("PAGI::Server::Future")), "done", value);
    }
    hash = newHV();
    result = newAV();
    av_push(result, SvREFCNT_inc_simple_NN(value));
    (void)hv_store_ent(hash, cxt->ready_key, newSViv(1), SvSHARED_HASH(cxt->ready_key));
    (void)hv_store_ent(hash, cxt->result_key, newRV_noinc((SV *)result),
                       SvSHARED_HASH(cxt->result_key));
    return sv_bless(newRV_noinc((SV *)hash), cxt->future_stash);
}

SV *glue_failed(pTHX_ SV *message) {
    return method(aTHX_ sv_2mortal(newSVpvs("PAGI::Server::Future")), "fail",
                  sv_2mortal(message));
}

/* ---- pending Futures ----
 *
 * Objects of PAGI::Server::Pending are the loop's Futures, made and resolved here. Whatever
 * else was asked of one (on_ready, a chain) takes Future's own way. */

/* What a new one starts with; NULL where the loop must make them. */
static HV *pattern(pTHX_ glue_core *core) {
    if (!core->pattern) {
        dSP;
        ENTER;
        SAVETMPS;
        PUSHMARK(SP);
        EXTEND(SP, 1);
        PUSHs(core->loop);
        PUTBACK;
        call_pv("PAGI::Server::Pending::pattern", G_SCALAR);
        SPAGAIN;
        core->pattern = newSVsv(POPs);
        PUTBACK;
        FREETMPS;
        LEAVE;
    }
    return SvROK(core->pattern) ? (HV *)SvRV(core->pattern) : NULL;
}

/* One that the loop made; it says by itself when it is cancelled. */
static SV *made_by_loop(pTHX_ glue_core *core) {
    SV *future = method(aTHX_ core->loop, "new_future", NULL);
    CV *cancelled = get_cv("PAGI::Server::Pending::_tell", 0);
    if (cancelled) {
        SV *told = sv_2mortal(newRV_inc((SV *)cancelled));
        SvREFCNT_dec(method(aTHX_ future, "on_cancel", told));
    }
    return future;
}

/* A pending Future of the caller's loop, also kept in *list. */
SV *glue_pending(pTHX_ glue_core *core, AV **list) {
    HV *hash = pattern(aTHX_ core);
    SV *future = hash
        ? sv_bless(newRV_noinc((SV *)newHVhv(hash)), glue_tables(aTHX)->pending_stash)
        : made_by_loop(aTHX_ core);
    if (!*list) *list = newAV();
    av_push(*list, same(aTHX_ future));
    return future;
}

static HV *own_pending(pTHX_ SV *future) {
    HV *hash = SvROK(future) ? (HV *)SvRV(future) : NULL;
    int is_own = hash && SvTYPE((SV *)hash) == SVt_PVHV && SvOBJECT((SV *)hash)
        && SvSTASH((SV *)hash) == glue_tables(aTHX)->pending_stash;
    return is_own ? hash : NULL;
}

static int has(pTHX_ HV *hash, SV *key) {
    return hv_exists_ent(hash, key, SvSHARED_HASH(key));
}

/* Who awaits it is kept apart from other callbacks; 0 where somebody awaits it already. */
int glue_keep_waiter(pTHX_ SV *future, SV *code) {
    my_cxt_t *cxt = glue_tables(aTHX);
    HV *hash = own_pending(aTHX_ future);
    if (!hash || has(aTHX_ hash, cxt->waiter_key)) return 0;
    (void)hv_store_ent(hash, cxt->waiter_key, same(aTHX_ code), SvSHARED_HASH(cxt->waiter_key));
    return 1;
}

/* What the async sub behind a Future awaits now, to be cancelled with it. */
void glue_keep_awaited(pTHX_ SV *future, SV *awaited) {
    my_cxt_t *cxt = glue_tables(aTHX);
    if (!SvROK(future) || SvTYPE(SvRV(future)) != SVt_PVHV) return;
    (void)hv_store_ent((HV *)SvRV(future), cxt->awaits_key, same(aTHX_ awaited),
                       SvSHARED_HASH(cxt->awaits_key));
}

/* Nobody but the list holds the Future, and nothing would happen if it were resolved. */
static int is_forgotten(pTHX_ SV *future) {
    my_cxt_t *cxt = glue_tables(aTHX);
    HV *hash = (HV *)SvRV(future);
    HE *entry;
    if (SvREFCNT((SV *)hash) > 1 || !cxt->plain_futures) return 0;
    if (SvTYPE((SV *)hash) != SVt_PVHV || has(aTHX_ hash, cxt->waiter_key)) return 0;
    entry = hv_fetch_ent(hash, cxt->callbacks_key, 0, SvSHARED_HASH(cxt->callbacks_key));
    return !entry || !SvROK(HeVAL(entry)) || av_count((AV *)SvRV(HeVAL(entry))) == 0;
}

/* Whether a pending Future still waits: neither cancelled nor forgotten. */
int glue_is_waiting(pTHX_ SV *future) {
    my_cxt_t *cxt = glue_tables(aTHX);
    HV *hash;
    SV *ready;
    int waiting;
    if (!SvROK(future)) return 0;
    hash = own_pending(aTHX_ future);
    /* Whatever makes it ready takes its waiter away. */
    if (hash && has(aTHX_ hash, cxt->waiter_key)) return 1;
    if (is_forgotten(aTHX_ future)) return 0;
    if (hash) {
        HE *entry = hv_fetch_ent(hash, cxt->ready_key, 0, SvSHARED_HASH(cxt->ready_key));
        return !(entry && SvTRUE(HeVAL(entry)));
    }
    ready = method(aTHX_ future, "is_ready", NULL);
    waiting = !SvTRUE(ready);
    SvREFCNT_dec(ready);
    return waiting;
}

/* ---- those of $receive ---- */

/* Leads from one to its request, for as long as that has it in its list. */
static MGVTBL receiver_vtbl = { NULL, NULL, NULL, NULL, NULL, NULL, glue_handle_dup, NULL };

static MAGIC *trail(SV *future) {
    return SvROK(future) && SvTYPE(SvRV(future)) >= SVt_PVMG
        ? mg_findext(SvRV(future), PERL_MAGIC_ext, &receiver_vtbl) : NULL;
}

/* A pending Future that waits for the request's next event. */
SV *glue_receiver(pTHX_ glue_request *request) {
    SV *future = glue_pending(aTHX_ request->core, &request->receivers);
    glue_handle_put(aTHX_ SvRV(future), &receiver_vtbl, request);
    SvRMAGICAL_off(SvRV(future));   /* its keys are no concern of this magic's */
    return future;
}

/* The one that is first in line, no longer in it, as a mortal. */
SV *glue_next_receiver(pTHX_ AV *receivers) {
    SV *future = sv_2mortal(av_shift(receivers));
    MAGIC *mg = trail(future);
    if (mg) mg->mg_ptr = NULL;
    return future;
}

/* Gives up those for which nothing will come. An async sub that waits for one keeps it, and what
 * the sub holds besides, for as long as the Future keeps the sub. */
void glue_forget(pTHX_ AV **list) {
    AV *futures = *list;
    *list = NULL;
    /* At the very end everything is freed, in no order, and the tables first. */
    if (!futures || PL_dirty) return;
    sv_2mortal((SV *)futures);
    while (av_count(futures) > 0) {
        HV *hash = own_pending(aTHX_ glue_next_receiver(aTHX_ futures));
        SV *key = glue_tables(aTHX)->waiter_key;
        if (hash) (void)hv_delete_ent(hash, key, G_DISCARD, SvSHARED_HASH(key));
    }
}

/* One that was the last in line need not stay until those before it are served. */
static void drop_last(pTHX_ AV *receivers, SV *future) {
    SSize_t last = receivers ? av_top_index(receivers) : -1;
    if (last < 0 || SvRV(*av_fetch(receivers, last, 0)) != SvRV(future)) return;
    trail(future)->mg_ptr = NULL;
    SvREFCNT_dec(av_pop(receivers));
}

/* One was cancelled. Where no other waits, the client does not keep the application waiting. */
void glue_cancelled(pTHX_ SV *future) {
    MAGIC *mg = PL_dirty ? NULL : trail(future);
    glue_request *request = mg ? (glue_request *)mg->mg_ptr : NULL;
    SSize_t at;
    if (!request || !request->is_running || glue_is_foreign(request->core)) return;
    drop_last(aTHX_ request->receivers, future);
    for (at = 0; request->receivers && at < av_count(request->receivers); at++) {
        SV *other = *av_fetch(request->receivers, at, 0);
        if (SvRV(other) != SvRV(future) && glue_is_waiting(aTHX_ other)) return;
    }
    if (request->is_running) pagi_stream_stop_waiting(request->stream);
}

/* Makes it done; returns who awaits it, as a mortal, or NULL where Future has to do it. */
static SV *resolved(pTHX_ SV *future, SV *value) {
    my_cxt_t *cxt = glue_tables(aTHX);
    HV *hash = own_pending(aTHX_ future);
    AV *result;
    SV *waiter;
    if (!hash || has(aTHX_ hash, cxt->callbacks_key) || has(aTHX_ hash, cxt->revoke_key)
        || has(aTHX_ hash, cxt->on_cancel_key)) {
        return NULL;
    }
    waiter = hv_delete_ent(hash, cxt->waiter_key, 0, SvSHARED_HASH(cxt->waiter_key));
    if (!waiter) return NULL;
    result = newAV();
    if (value) av_push(result, SvREFCNT_inc_simple_NN(value));
    (void)hv_store_ent(hash, cxt->ready_key, newSViv(1), SvSHARED_HASH(cxt->ready_key));
    (void)hv_store_ent(hash, cxt->result_key, newRV_noinc((SV *)result),
                       SvSHARED_HASH(cxt->result_key));
    return SvROK(waiter) ? waiter : NULL;
}

/* Fails a Future; what its callbacks throw is only warned about. */
void glue_reject(pTHX_ SV *future, SV *error) {
    dSP;
    SV *thrown;
    ENTER;
    SAVETMPS;
    save_scalar(PL_errgv);
    PUSHMARK(SP);
    EXTEND(SP, 2);
    PUSHs(future);
    PUSHs(error);
    PUTBACK;
    call_method("fail", G_VOID | G_DISCARD | G_EVAL);
    thrown = glue_thrown(aTHX);
    if (thrown) glue_warn(aTHX_ "PAGI application error: ", thrown);
    FREETMPS;
    LEAVE;
}

/* Resolves a Future; what its callbacks throw is the application's and only warned about. */
void glue_resolve(pTHX_ SV *future, SV *value) {
    dSP;
    SV *error, *waiter;
    ENTER;
    SAVETMPS;
    save_scalar(PL_errgv);
    waiter = resolved(aTHX_ future, value);
    PUSHMARK(SP);
    EXTEND(SP, 2);
    PUSHs(future);
    if (value && !waiter) PUSHs(value);
    PUTBACK;
    if (waiter) call_sv(waiter, G_VOID | G_DISCARD | G_EVAL);
    else call_method("done", G_VOID | G_DISCARD | G_EVAL);
    error = glue_thrown(aTHX);
    if (error) glue_warn(aTHX_ "PAGI application error: ", error);
    FREETMPS;
    LEAVE;
}

/* Resolves all of a list that still wait. */
void glue_release(pTHX_ AV **list) {
    AV *futures = *list;
    *list = NULL;
    if (!futures) return;
    sv_2mortal((SV *)futures);
    while (av_count(futures) > 0) {
        SV *future = sv_2mortal(av_shift(futures));
        if (glue_is_waiting(aTHX_ future)) glue_resolve(aTHX_ future, NULL);
    }
}

/* Reads a pure-Perl Future: done means ready, with a result and without a failure (a cancelled
 * one has neither). */
enum glue_state glue_state_of(pTHX_ SV *future) {
    my_cxt_t *cxt = glue_tables(aTHX);
    HV *hash;
    HE *entry;
    if (!future || !SvROK(future) || !SvOBJECT(SvRV(future))) return GLUE_NO_FUTURE;
    if (!cxt->plain_futures || SvTYPE(SvRV(future)) != SVt_PVHV) {
        return sv_derived_from(future, "Future") ? GLUE_OTHER : GLUE_NO_FUTURE;
    }
    hash = (HV *)SvRV(future);
    entry = hv_fetch_ent(hash, cxt->ready_key, 0, SvSHARED_HASH(cxt->ready_key));
    if (!entry) return sv_derived_from(future, "Future") ? GLUE_OTHER : GLUE_NO_FUTURE;
    if (!SvTRUE(HeVAL(entry))) return GLUE_PENDING;
    if (!hv_exists_ent(hash, cxt->result_key, SvSHARED_HASH(cxt->result_key))) return GLUE_OTHER;
    entry = hv_fetch_ent(hash, cxt->failure_key, 0, SvSHARED_HASH(cxt->failure_key));
    return entry && SvOK(HeVAL(entry)) ? GLUE_OTHER : GLUE_DONE;
}
