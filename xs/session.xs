# What PAGI::Server::Protocol::HTTP2::Session calls.

MODULE = PAGI::Server  PACKAGE = PAGI::Server::Protocol::HTTP2::Session

SV *
_open(HV *options)
  CODE:
    RETVAL = glue_session_new(aTHX_ options);
  OUTPUT:
    RETVAL

UV
_feed(SV *session, SV *bytes)
  CODE:
  {
    pagi_text text = glue_bytes(aTHX_ bytes, "The input");
    RETVAL = pagi_session_feed(glue_session_of(aTHX_ session), text);
  }
  OUTPUT:
    RETVAL

void
_next(SV *session)
  PPCODE:
  {
    SV *report = glue_session_next(aTHX_ glue_session_of(aTHX_ session));
    if (report) mXPUSHs(report);
  }

U8
_respond(SV *session, U32 id, U16 status, SV *headers, bool has_body)
  CODE:
    RETVAL = glue_session_respond(aTHX_ glue_session_of(aTHX_ session), id, status, headers,
                                  has_body);
  OUTPUT:
    RETVAL

U8
_push(SV *session, U32 id, SV *bytes, bool is_last)
  CODE:
  {
    pagi_text text = glue_bytes(aTHX_ bytes, "The data");
    RETVAL = pagi_session_push(glue_session_of(aTHX_ session), id, text, is_last);
  }
  OUTPUT:
    RETVAL

U8
_trailers(SV *session, U32 id, SV *headers)
  CODE:
    RETVAL = glue_session_trailers(aTHX_ glue_session_of(aTHX_ session), id, headers);
  OUTPUT:
    RETVAL

U8
_source(SV *session, U32 id, bool is_asked)
  CODE:
    RETVAL = pagi_session_source(glue_session_of(aTHX_ session), id, is_asked);
  OUTPUT:
    RETVAL

void
_ask(SV *session)
  PPCODE:
  {
    size_t most = 0;
    U32 id = pagi_session_ask(glue_session_of(aTHX_ session), &most);
    if (id) {
        mXPUSHu(id);
        mXPUSHu(most);
    }
  }

U8
_reset(SV *session, U32 id, U32 code)
  CODE:
    RETVAL = pagi_session_reset(glue_session_of(aTHX_ session), id, code);
  OUTPUT:
    RETVAL

void
_terminate(SV *session, U32 code)
  CODE:
    pagi_session_terminate(glue_session_of(aTHX_ session), code);

SV *
_take(SV *session)
  CODE:
    RETVAL = glue_owned(aTHX_ pagi_session_take(glue_session_of(aTHX_ session)));
  OUTPUT:
    RETVAL

bool
_wants(SV *session)
  ALIAS:
    _wants_read = 0
    _wants_write = 1
  CODE:
  {
    pagi_session *this = glue_session_of(aTHX_ session);
    RETVAL = ix ? pagi_session_wants_write(this) : pagi_session_wants_read(this);
  }
  OUTPUT:
    RETVAL
