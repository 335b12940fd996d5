/* The closures that an application holds: $receive and $send. */
#include "glue.h"

static glue_request *own_request(pTHX_ CV *cv) {
    glue_request *request = glue_request_of(aTHX_ (SV *)cv);
    if (!request) croak("a PAGI closure without a request");
    return request;
}

/* The next event as a hash reference, or NULL. */
SV *glue_receive(pTHX_ glue_request *request) {
    pagi_event event;
    SV *value;
    U8 got = pagi_stream_receive(request->stream, &event);
    if (got & PAGI_WAKE) request->core->wants_wake = 1;
    request->is_starved = !(got & PAGI_GOT);
    if (request->is_starved) return NULL;
    value = glue_encode(aTHX_ &event);
    pagi_event_free(event.keep);
    return value;
}

XS(glue_xs_receive) {
    dXSARGS;
    glue_request *request = own_request(aTHX_ cv);
    glue_core *core = request->core;
    SV *event;
    PERL_UNUSED_VAR(items);
    if (glue_is_foreign(core)) {
        ST(0) = sv_2mortal(glue_failed(aTHX_ newSVpvs(
            "PAGI stream used in a forked process\n")));
        XSRETURN(1);
    }
    /* Whoever asked first is served first. */
    while (request->receivers && av_count(request->receivers) > 0) {
        if (glue_is_waiting(aTHX_ *av_fetch(request->receivers, 0, 0))) break;
        glue_next_receiver(aTHX_ request->receivers);
    }
    if ((request->receivers && av_count(request->receivers) > 0)
        || !(event = glue_receive(aTHX_ request))) {
        ST(0) = sv_2mortal(glue_receiver(aTHX_ request));
    }
    else {
        ST(0) = sv_2mortal(glue_done_with(aTHX_ event));
    }
    if (!core->depth) glue_flush(aTHX_ core);
    XSRETURN(1);
}

/* The response moved on: its state object, the log, the callbacks. */
static void took_effect(pTHX_ glue_request *request, U32 did) {
    my_cxt_t *cxt = glue_tables(aTHX);
    HV *connection = request->connection;
    if ((did & PAGI_STARTED) && connection) {
        (void)hv_store_ent(connection, cxt->started_key, newSViv(1),
                           SvSHARED_HASH(cxt->started_key));
    }
    if (did & PAGI_COMPLETED) {
        if (connection) {
            (void)hv_store_ent(connection, cxt->complete_key, newSViv(1),
                               SvSHARED_HASH(cxt->complete_key));
        }
        glue_log_request(aTHX_ request);
    }
    if (did & PAGI_EXCESS) {
        glue_warn(aTHX_ "PAGI application sent more body bytes than its content-length; "
                        "the excess was dropped\n", NULL);
    }
    if (did & PAGI_HIGH) {
        glue_tell_transport(aTHX_ request, "PAGI::Server::TransportState::_check_watermarks");
    }
}

/* Output leaves when the dispatch ends, at once where there is none or where it has grown. */
static void let_go(pTHX_ glue_request *request, U32 did) {
    glue_core *core = request->core;
    glue_mark_dirty(aTHX_ request);
    if (!core->depth || (did & PAGI_FULL)) glue_flush(aTHX_ core);
}

static SV *refused(pTHX_ pagi_owned error, U32 did) {
    SV *text = glue_owned(aTHX_ error);
    if (did & PAGI_NOT_ENABLED) {
        glue_warn(aTHX_ "PAGI: http.fullflush event rejected - extension not enabled\n", NULL);
    }
    return glue_failed(aTHX_ text);
}

/* What a Perl function returns, as a mortal; NULL with a mortal *thrown where it dies. */
static SV *ask(pTHX_ const char *name, int argc, SV **argv, SV **thrown) {
    dSP;
    SV *result = NULL, *error;
    int at;
    ENTER;
    SAVETMPS;
    save_scalar(PL_errgv);      /* the application's $@ is its own */
    PUSHMARK(SP);
    EXTEND(SP, argc);
    for (at = 0; at < argc; at++) PUSHs(argv[at]);
    PUTBACK;
    if (call_pv(name, G_SCALAR | G_EVAL) > 0) {
        SPAGAIN;
        result = SvREFCNT_inc_simple(POPs);
        PUTBACK;
    }
    error = SvREFCNT_inc(glue_thrown(aTHX));
    FREETMPS;
    LEAVE;
    *thrown = error ? sv_2mortal(error) : NULL;
    if (result) sv_2mortal(result);
    return error ? NULL : result;
}

/* The validator's complaint, or NULL. */
static SV *invalid(pTHX_ glue_request *request, SV *event) {
    SV *thrown = NULL;
    if (!request->core->validate || pagi_stream_is_silent(request->stream)) return NULL;
    ask(aTHX_ SvPVX(glue_tables(aTHX)->scopes[request->kind].validator), 1, &event, &thrown);
    return thrown ? newSVsv(thrown) : NULL;
}

/* A plain copy of an event with ties or overloads, as a mortal; NULL, with a failed Future in
 * *failure, where reading it died. */
static SV *glue_plain(pTHX_ SV *event, SV **failure) {
    SV *thrown, *plain = ask(aTHX_ "PAGI::Server::Dispatch::plain", 1, &event, &thrown);
    if (plain && SvROK(plain)) return plain;
    *failure = glue_failed(aTHX_ thrown ? newSVsv(thrown) : newSVpvs("unreadable event\n"));
    return NULL;
}

/* A handle that the core can read becomes a descriptor and an offset in the event's copy; any
 * other is read in Perl, piece by piece: then the Future of that is returned. */
static SV *send_handle(pTHX_ glue_request *request, SV *event) {
    SV *thrown, *outcome, *args[2];
    args[0] = sv_2mortal(newRV_inc((SV *)request->send));
    args[1] = event;
    outcome = ask(aTHX_ "PAGI::Server::FileHandle::send", 2, args, &thrown);
    return outcome ? SvREFCNT_inc_simple(outcome)
                   : glue_failed(aTHX_ thrown ? newSVsv(thrown) : newSVpvs("unreadable fh\n"));
}

static int find_handle(pTHX_ const pagi_value *values, ptrdiff_t row) {
    my_cxt_t *cxt = glue_tables(aTHX);
    U8 at;
    if (row < 0) return 0;
    for (at = 0; at < cxt->events[row].count; at++) {
        if (values[at].tag == PAGI_HANDLE) return 1;
    }
    return 0;
}

static SV *send_event(pTHX_ glue_request *request, SV *event) {
    pagi_value values[PAGI_MAX_FIELDS];
    pagi_text given;
    pagi_owned error = { NULL, 0 };
    SV *complaint;
    ptrdiff_t row;
    U32 did;
    if (!request->is_running || request->is_gone) return glue_done(aTHX);
    if (!SvROK(event) || SvTYPE(SvRV(event)) != SVt_PVHV) {
        return glue_failed(aTHX_ newSVpvs("a PAGI event must be a hash reference\n"));
    }
    complaint = invalid(aTHX_ request, event);
    if (complaint) return glue_failed(aTHX_ complaint);
    row = glue_decode(aTHX_ (HV *)SvRV(event), 0, &given, values);
    if (row == PAGI_EXOTIC) {
        SV *failure = NULL;
        event = glue_plain(aTHX_ event, &failure);
        if (!event) return failure;
        row = glue_decode(aTHX_ (HV *)SvRV(event), 1, &given, values);
    }
    if (find_handle(aTHX_ values, row)) return send_handle(aTHX_ request, event);
    /* That code may have ended the request. */
    if (!request->is_running) return glue_done(aTHX);
    did = pagi_stream_send(request->stream, row, given, values, &error);
    if (did & PAGI_REFUSED) return refused(aTHX_ error, did);
    if (did) took_effect(aTHX_ request, did);
    if (did & (PAGI_BODY | PAGI_COMPLETED | PAGI_FLUSHED)) let_go(aTHX_ request, did);
    if (did & PAGI_PARKED) {
        pagi_stream_arm_drain(request->stream);
        return glue_pending(aTHX_ request->core, &request->senders);
    }
    return glue_done(aTHX);
}

XS(glue_xs_send) {
    dXSARGS;
    glue_request *request = own_request(aTHX_ cv);
    SV *future;
    if (glue_is_foreign(request->core)) {
        future = glue_done(aTHX);
    }
    else {
        const int is_alone = !request->core->depth;     /* no batch says whose log it is */
        request->refs++;
        if (is_alone) {
            ENTER;
            glue_log_to(aTHX_ request->core);
        }
        future = send_event(aTHX_ request, items > 0 ? ST(0) : &PL_sv_undef);
        if (is_alone) LEAVE;
        glue_request_release(aTHX_ request);
    }
    ST(0) = sv_2mortal(future);
    XSRETURN(1);
}

/* Called with the outcome of an application's Future that was pending: ok, error. */
XS(glue_xs_finished) {
    dXSARGS;
    glue_request *request = own_request(aTHX_ cv);
    glue_core *core = request->core;
    int ok = items > 0 && SvTRUE(ST(0));
    SV *error = items > 1 ? ST(1) : NULL;
    if (glue_is_foreign(core)) XSRETURN_EMPTY;
    core->refs++;
    ENTER;
    if (!core->depth) glue_log_to(aTHX_ core);
    glue_finish(aTHX_ request, ok, error);
    LEAVE;
    if (!core->depth) glue_flush(aTHX_ core);
    glue_core_release(aTHX_ core);
    XSRETURN_EMPTY;
}
