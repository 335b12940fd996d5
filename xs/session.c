/* HTTP/2 sessions without a connection, for PAGI::Server::Protocol::HTTP2. */
#include "glue.h"

static int free_session(pTHX_ SV *sv, MAGIC *mg) {
    PERL_UNUSED_ARG(sv);
    if (mg->mg_ptr) pagi_session_free((pagi_session *)mg->mg_ptr);
    return 0;
}

/* In a cloned interpreter the handle is empty: it belongs to the one that made it. */
static int forget(pTHX_ MAGIC *mg, CLONE_PARAMS *params) {
    PERL_UNUSED_ARG(params);
    mg->mg_ptr = NULL;
    return 0;
}

static MGVTBL session_vtbl = { NULL, NULL, NULL, NULL, free_session, NULL, forget, NULL };

SV *glue_session_new(pTHX_ HV *options) {
    size_t count;
    pagi_setting *settings = glue_settings(aTHX_ options, &count);
    pagi_session *session = pagi_session_new(settings, count);
    SV *inner;
    MAGIC *mg;
    if (!session) croak("Cannot make an HTTP/2 session\n");
    inner = newSV(0);
    mg = sv_magicext(inner, NULL, PERL_MAGIC_ext, &session_vtbl, (char *)session, 0);
    mg->mg_flags |= MGf_DUP;
    return newRV_noinc(inner);
}

pagi_session *glue_session_of(pTHX_ SV *sv) {
    MAGIC *mg = SvROK(sv) && SvTYPE(SvRV(sv)) >= SVt_PVMG
        ? mg_findext(SvRV(sv), PERL_MAGIC_ext, &session_vtbl) : NULL;
    if (!mg) croak("not an HTTP/2 session");
    if (!mg->mg_ptr) croak("an HTTP/2 session was used from another interpreter");
    return (pagi_session *)mg->mg_ptr;
}

static SV *number(pTHX_ uint32_t n) {
    return newSVuv(n);
}

/* The pseudo-header fields go into a hash, the others into a list of tuples. */
static void push_fields(pTHX_ pagi_session *session, AV *report) {
    HV *pseudo = newHV();
    AV *list = newAV();
    pagi_text name, value;
    size_t at;
    av_push(report, newRV_noinc((SV *)pseudo));
    av_push(report, newRV_noinc((SV *)list));
    for (at = 0; pagi_session_field(session, at, &name, &value); at++) {
        if (name.len && name.ptr[0] == ':') {
            (void)hv_store(pseudo, name.ptr, (I32)name.len, glue_string(aTHX_ value), 0);
        }
        else {
            AV *tuple = newAV();
            av_push(tuple, glue_string(aTHX_ name));
            av_push(tuple, glue_string(aTHX_ value));
            av_push(list, newRV_noinc((SV *)tuple));
        }
    }
}

/* The next report as the name of its callback and the arguments of that; NULL for none. */
SV *glue_session_next(pTHX_ pagi_session *session) {
    pagi_report report;
    AV *list;
    Zero(&report, 1, pagi_report);
    pagi_session_next(session, &report);
    if (report.kind == PAGI_NOTHING) return NULL;
    list = newAV();
    switch (report.kind) {
    case PAGI_REQUEST:
        av_push(list, newSVpvs("on_request"));
        av_push(list, number(aTHX_ report.id));
        push_fields(aTHX_ session, list);
        av_push(list, newSViv(report.flag));
        break;
    case PAGI_PIECE:
        av_push(list, newSVpvs("on_body"));
        av_push(list, number(aTHX_ report.id));
        av_push(list, glue_string(aTHX_ report.data));
        av_push(list, newSViv(report.flag));
        break;
    default:
        av_push(list, newSVpvs("on_close"));
        av_push(list, number(aTHX_ report.id));
        av_push(list, number(aTHX_ report.code));
    }
    return newRV_noinc((SV *)list);
}

/* The number of what became of it; a fault of the fields is an exception. */
static U8 outcome_or_die(pTHX_ U8 outcome, pagi_owned error) {
    if (error.ptr) croak_sv(sv_2mortal(glue_owned(aTHX_ error)));
    return outcome;
}

U8 glue_session_respond(pTHX_ pagi_session *session, U32 id, U16 status, SV *headers,
                        int has_body) {
    pagi_owned error = { NULL, 0 };
    pagi_value value;
    U8 outcome;
    glue_headers(aTHX_ headers, &value);
    outcome = pagi_session_respond(session, id, status, &value, (U8)has_body, &error);
    return outcome_or_die(aTHX_ outcome, error);
}

U8 glue_session_trailers(pTHX_ pagi_session *session, U32 id, SV *headers) {
    pagi_owned error = { NULL, 0 };
    pagi_value value;
    U8 outcome;
    glue_headers(aTHX_ headers, &value);
    outcome = pagi_session_trailers(session, id, &value, &error);
    return outcome_or_die(aTHX_ outcome, error);
}
