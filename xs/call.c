/* Calls into Perl: the application, and what follows from its return. */
#include "glue.h"

/* What was thrown, as a mortal; NULL for nothing. An object that is false is thrown all the same,
 * and none of its overloads is asked. */
SV *glue_thrown(pTHX) {
    SV *error = ERRSV;
    return SvROK(error) || (SvPOK(error) ? SvCUR(error) > 0 : SvTRUE(error))
        ? sv_mortalcopy(error) : NULL;
}

/* Calls a Perl function for its effect; what it throws becomes a warning. */
void glue_call_sv(pTHX_ SV *code, int argc, SV **argv) {
    dSP;
    SV *error;
    int at;
    ENTER;
    SAVETMPS;
    save_scalar(PL_errgv);      /* the caller's $@ is its own */
    PUSHMARK(SP);
    EXTEND(SP, argc);
    for (at = 0; at < argc; at++) PUSHs(argv[at]);
    PUTBACK;
    call_sv(code, G_VOID | G_DISCARD | G_EVAL);
    error = glue_thrown(aTHX);
    if (error) glue_warn(aTHX_ "", error);
    FREETMPS;
    LEAVE;
}

void glue_call(pTHX_ const char *name, int argc, SV **argv) {
    glue_call_sv(aTHX_ (SV *)get_cv(name, GV_ADD), argc, argv);
}

/* ---- pagi.transport ---- */

static int has_callbacks(pTHX_ glue_request *request) {
    return request->transport && HvUSEDKEYS(request->transport);
}

/* Calls a function for it, where that could matter to anybody. */
void glue_tell_transport(pTHX_ glue_request *request, const char *function) {
    SV *object;
    if (!has_callbacks(aTHX_ request)) return;
    object = sv_2mortal(newRV_inc((SV *)request->transport));
    glue_call(aTHX_ function, 1, &object);
}

/* ---- the access log ---- */

void glue_log_request(pTHX_ glue_request *request) {
    glue_core *core = request->core;
    pagi_owned line;
    if (!core->access_log) return;
    line = pagi_server_access_line(core->server, request->stream);
    if (!line.ptr) return;
    sv_catpvn(core->lines, line.ptr, line.len);
    sv_catpvs(core->lines, "\n");
    pagi_owned_free(line);
}

/* ---- the end of a request ---- */

/* Resolves waiting receives, as far as there are events. One that came meanwhile and was first in
 * line has looked by itself. */
static void deliver(pTHX_ glue_request *request) {
    request->is_starved = 0;
    while (!request->is_starved && request->receivers && av_count(request->receivers) > 0) {
        SV *future = *av_fetch(request->receivers, 0, 0);
        if (glue_is_waiting(aTHX_ future)) {
            SV *value = glue_receive(aTHX_ request);
            if (!value) return;
            sv_2mortal(value);
            future = glue_next_receiver(aTHX_ request->receivers);
            glue_resolve(aTHX_ future, value);
        }
        else {
            glue_next_receiver(aTHX_ request->receivers);
        }
    }
}

/* Why a file on its way could not be read, as a mortal, once; NULL where none failed. What was taken
 * for a complete response is none then. */
static SV *take_fault(pTHX_ glue_request *request) {
    pagi_owned text = pagi_stream_take_fault(request->stream);
    SV *key = glue_tables(aTHX)->complete_key;
    if (!text.ptr) return NULL;
    if (request->connection) {
        (void)hv_delete_ent(request->connection, key, G_DISCARD, SvSHARED_HASH(key));
    }
    return sv_2mortal(glue_owned(aTHX_ text));
}

/* Sends that wait go on; a file's is the last of them, and fails if the file did. Tells whether that
 * one waited. */
static int release_senders(pTHX_ AV **list, SV *fault) {
    AV *senders = *list;
    SV *last = fault && senders && av_count(senders) > 0 ? sv_2mortal(av_pop(senders)) : NULL;
    int waited = last && glue_is_waiting(aTHX_ last);
    glue_release(aTHX_ list);
    if (waited) glue_reject(aTHX_ last, fault);
    return waited;
}

/* Somebody may still look at the object: it learns how the request ended. */
static void mark(pTHX_ glue_request *request, const char *method, SV *reason) {
    SV *args[2];
    if (!request->connection) return;
    args[0] = sv_2mortal(newRV_inc((SV *)request->connection));
    args[1] = reason;
    glue_call(aTHX_ method, reason ? 2 : 1, args);
}

/* The state shows the end before a released send goes on: its loop may ask is_connected. The
 * application may return right there, so the object is held until its callbacks have run. */
static void disconnect(pTHX_ glue_request *request, SV *reason) {
    SV *state = request->connection
        ? sv_2mortal(newRV_inc((SV *)request->connection)) : NULL;
    SV *fault = take_fault(aTHX_ request);
    request->is_gone = 1;
    mark(aTHX_ request, "PAGI::Server::ConnectionState::_set_disconnected", reason);
    if (!release_senders(aTHX_ &request->senders, fault) && fault) glue_warn(aTHX_ "", fault);
    if (state) glue_call(aTHX_ "PAGI::Server::ConnectionState::_tell_disconnected", 1, &state);
}

static void mark_complete(pTHX_ glue_request *request) {
    HV *connection = request->connection;
    int unseen = connection && request->scope && SvREFCNT(request->scope) == 1
        && SvREFCNT(connection) == 2 && HvUSEDKEYS(connection) <= 2;
    if (!unseen) mark(aTHX_ request, "PAGI::Server::ConnectionState::_mark_complete", NULL);
}

/* Tells of the last request of a worker's share. Counted is what is a request of its own: what a
 * connection was upgraded to is not. */
static void count_request(pTHX_ glue_core *core, glue_request *request) {
    if (!core->request_limit || !pagi_stream_counts(request->stream)) return;
    if (++core->request_count == core->request_limit) {
        glue_call_sv(aTHX_ core->on_limit, 0, NULL);
    }
}

static void end_request(pTHX_ glue_request *request) {
    glue_core *core = request->core;
    count_request(aTHX_ core, request);
    glue_request_end(aTHX_ request);
    /* Callbacks that hold their own scope would keep it for ever. */
    if (has_callbacks(aTHX_ request)) hv_clear(request->transport);
    if (core->on_request) glue_call_sv(aTHX_ core->on_request, 0, NULL);
    if (!core->running_count && core->on_idle) glue_call_sv(aTHX_ core->on_idle, 0, NULL);
    glue_request_release(aTHX_ request);
}

/* The application's call is over. */
void glue_finish(pTHX_ glue_request *request, int ok, SV *error) {
    int ended;
    SV *args[4];
    if (!request->is_running) return;
    ended = pagi_stream_returned(request->stream, ok ? 1 : 0);
    request->core->wants_wake = 1;
    glue_log_request(aTHX_ request);
    if (!(ended == PAGI_COMPLETE && ok)) {
        args[0] = sv_2mortal(newSVpv(glue_ended((U8)ended), 0));
        args[1] = error ? error : &PL_sv_undef;
        args[2] = glue_tables(aTHX)->scopes[request->kind].name;
        args[3] = sv_2mortal(newSVuv(pagi_stream_id(request->stream)));
        glue_call(aTHX_ "PAGI::Server::Dispatch::ended", 4, args);
    }
    if (ended == PAGI_COMPLETE || ended == PAGI_FAILED_AFTER_END) {
        mark_complete(aTHX_ request);
    }
    else if (ended != PAGI_CLIENT_GONE) {
        mark(aTHX_ request, "PAGI::Server::ConnectionState::_mark_response_started", NULL);
        disconnect(aTHX_ request, sv_2mortal(newSVpvs("server_error")));
    }
    deliver(aTHX_ request);
    end_request(aTHX_ request);
}

/* ---- the call ---- */

static void wait_for(pTHX_ glue_request *request, SV *future) {
    SV *args[2];
    request->future = newSVsv(future);
    args[0] = future;
    args[1] = sv_2mortal(newRV_noinc((SV *)glue_closure(aTHX_ glue_xs_finished, request)));
    glue_call(aTHX_ "PAGI::Server::Dispatch::wait", 2, args);
}

/* Looks at what the application returned. */
static void settle(pTHX_ glue_request *request, SV *result, SV *error) {
    SV *args[2];
    if (error) {
        glue_finish(aTHX_ request, 0, error);
        return;
    }
    switch (glue_state_of(aTHX_ result)) {
    case GLUE_DONE:
        glue_finish(aTHX_ request, 1, NULL);
        break;
    case GLUE_PENDING:
    case GLUE_OTHER:
        wait_for(aTHX_ request, result);
        break;
    default:
        args[0] = result ? result : &PL_sv_undef;
        error = sv_2mortal(newSVpvf("Expected a blessed object reference to await, got %s",
                                    SvROK(args[0]) ? sv_reftype(SvRV(args[0]), 1) : ""));
        if (!SvROK(args[0])) {
            sv_setpvs(error, "Expected a blessed object reference to await at the application's "
                             "return\n");
        }
        glue_finish(aTHX_ request, 0, error);
    }
}

/* What the call needed is given back before its outcome is looked at, so that what is still held
 * then is held by the application. */
static void call_app(pTHX_ glue_request *request) {
    dSP;
    SV *result = NULL, *error = NULL;
    ENTER;
    SAVETMPS;
    PUSHMARK(SP);
    EXTEND(SP, 3);
    PUSHs(sv_2mortal(newRV_inc((SV *)request->scope)));
    PUSHs(sv_2mortal(newRV_inc((SV *)request->receive)));
    PUSHs(sv_2mortal(newRV_inc((SV *)request->send)));
    PUTBACK;
    if (call_sv(request->core->app, G_SCALAR | G_EVAL) > 0) {
        SPAGAIN;
        result = SvREFCNT_inc_simple(POPs);
        PUTBACK;
    }
    error = SvREFCNT_inc(glue_thrown(aTHX));
    FREETMPS;
    LEAVE;
    if (result) sv_2mortal(result);
    if (error) sv_2mortal(error);
    settle(aTHX_ request, result, error);
}

void glue_open(pTHX_ glue_core *core, pagi_stream *stream) {
    glue_request *request = glue_request_new(aTHX_ core, stream);
    request->refs++;
    glue_scope(aTHX_ request);
    call_app(aTHX_ request);
    glue_request_release(aTHX_ request);
}

/* ---- news of a running request ---- */

/* The order is the contract's: state, waiting sends, callbacks, then the receivers. False for a
 * request that had ended before. */
static int gone(pTHX_ glue_request *request) {
    pagi_text reason = pagi_stream_gone(request->stream);
    if (!reason.len) return 0;
    request->core->wants_wake = 1;
    disconnect(aTHX_ request, sv_2mortal(glue_string(aTHX_ reason)));
    deliver(aTHX_ request);
    return 1;
}

/* The callbacks first: those whose sends waited may be about to fill it again. What begins to wait in
 * one of them waits for the next time. */
static void drained(pTHX_ glue_request *request) {
    SV *fault = request->senders ? take_fault(aTHX_ request) : NULL;
    AV *senders = request->senders;
    request->senders = NULL;
    glue_tell_transport(aTHX_ request, "PAGI::Server::TransportState::_drained");
    release_senders(aTHX_ &senders, fault);
}

void glue_tell(pTHX_ pagi_stream *stream) {
    glue_request *request = INT2PTR(glue_request *, pagi_stream_token(stream));
    U8 bits = pagi_stream_news(stream);
    int is_gone;
    pagi_stream_free(stream);
    if (!request) return;
    request->refs++;
    if (bits & PAGI_ANSWERED) {
        mark(aTHX_ request, "PAGI::Server::ConnectionState::_mark_response_started", NULL);
    }
    is_gone = (bits & PAGI_GONE) && gone(aTHX_ request);
    if ((bits & PAGI_DRAINED) && !is_gone) drained(aTHX_ request);
    if (bits & PAGI_READABLE) deliver(aTHX_ request);
    glue_request_release(aTHX_ request);
}
