/* Futures, made and read without a method call where Future is pure Perl. */
#include "glue.h"

/* The shared Future of a $send that did not wait. */
SV *glue_done(pTHX) {
    my_cxt_t *cxt = glue_tables(aTHX);
    return newSVsv(cxt->done);
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

/* A pending Future of the caller's loop, also kept in *list. */
SV *glue_pending(pTHX_ glue_core *core, AV **list) {
    SV *future = method(aTHX_ core->loop, "new_future", NULL);
    if (!*list) *list = newAV();
    av_push(*list, newSVsv(future));
    return future;
}

/* Nobody but the list holds the Future, and nothing would happen if it were resolved. */
static int is_forgotten(pTHX_ SV *future) {
    HV *hash = (HV *)SvRV(future);
    SV **callbacks;
    if (SvREFCNT((SV *)hash) > 1 || !glue_tables(aTHX)->plain_futures) return 0;
    if (SvTYPE((SV *)hash) != SVt_PVHV) return 0;
    callbacks = hv_fetchs(hash, "callbacks", 0);
    return !callbacks || !SvROK(*callbacks) || av_count((AV *)SvRV(*callbacks)) == 0;
}

/* Whether a pending Future still waits: neither cancelled nor forgotten. */
int glue_is_waiting(pTHX_ SV *future) {
    SV *ready;
    int waiting;
    if (!SvROK(future) || is_forgotten(aTHX_ future)) return 0;
    ready = method(aTHX_ future, "is_ready", NULL);
    waiting = !SvTRUE(ready);
    SvREFCNT_dec(ready);
    return waiting;
}

/* Resolves a Future; what its callbacks throw is the application's and only warned about. */
void glue_resolve(pTHX_ SV *future, SV *value) {
    dSP;
    SV *error;
    ENTER;
    SAVETMPS;
    save_scalar(PL_errgv);
    PUSHMARK(SP);
    EXTEND(SP, 2);
    PUSHs(future);
    if (value) PUSHs(value);
    PUTBACK;
    call_method("done", G_VOID | G_DISCARD | G_EVAL);
    error = glue_thrown(aTHX);
    if (error) glue_warn(aTHX_ "PAGI application error: ", error);
    FREETMPS;
    LEAVE;
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
