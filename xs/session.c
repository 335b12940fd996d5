/* HTTP/2 sessions without a connection, for PAGI::Server::Protocol::HTTP2. */
#include "glue.h"

static int free_session(pTHX_ SV *sv, MAGIC *mg) {
    PERL_UNUSED_ARG(sv);
    if (mg->mg_ptr) pagi_session_free((pagi_session *)mg->mg_ptr);
    return 0;
}

static MGVTBL session_vtbl = { NULL, NULL, NULL, NULL, free_session, NULL, glue_handle_dup,
                              NULL };

SV *glue_session_new(pTHX_ HV *options) {
    size_t count;
    pagi_setting *settings = glue_settings(aTHX_ options, &count);
    pagi_session *session = pagi_session_new(settings, count);
    SV *inner;
    if (!session) croak("Cannot make an HTTP/2 session\n");
    inner = newSV(0);
    glue_handle_put(aTHX_ inner, &session_vtbl, session);
    return newRV_noinc(inner);
}

pagi_session *glue_session_of(pTHX_ SV *sv) {
    pagi_session *session = SvROK(sv)
        ? glue_handle_get(aTHX_ SvRV(sv), &session_vtbl, "an HTTP/2 session") : NULL;
    if (!session) croak("not an HTTP/2 session");
    return session;
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
