/* The HTTP/1.1 codec: buffers to hashes and fields to bytes. */
#include "glue.h"

/* A mortal copy of what a tie or the like gives; anything else as it is. */
static SV *without_magic(pTHX_ SV *sv) {
    return SvGMAGICAL(sv) ? sv_2mortal(newSVsv(sv)) : sv;
}

/* The bytes of a string, or of the one that a reference names; neither is changed. */
pagi_text glue_bytes(pTHX_ SV *sv, const char *what) {
    pagi_text text = { "", 0 };
    int wide = 0;
    sv = without_magic(aTHX_ sv);
    if (SvROK(sv) && !SvAMAGIC(sv)) {
        sv = SvRV(sv);
        if (SvTYPE(sv) != SVt_PVGV && SvTYPE(sv) < SVt_PVAV) sv = without_magic(aTHX_ sv);
        if (SvROK(sv) || SvTYPE(sv) == SVt_PVGV || SvTYPE(sv) >= SVt_PVAV) {
            croak("%s must be a string or a reference to one\n", what);
        }
    }
    if (SvOK(sv)) text = glue_text(aTHX_ sv, &wide);
    if (wide) croak("%s must be bytes: it contains wide characters, encode it first\n", what);
    return text;
}

static SV *error_hash(pTHX_ U16 status, pagi_text message) {
    HV *hash = newHV();
    glue_put(aTHX_ hash, "error", newSViv(status));
    glue_put(aTHX_ hash, "message", glue_string(aTHX_ message));
    return newRV_noinc((SV *)hash);
}

static SV *field_list(pTHX_ const pagi_request_head *head) {
    AV *list = newAV();
    pagi_text name, value;
    size_t at;
    for (at = 0; pagi_codec_field(head, at, &name, &value); at++) {
        AV *tuple = newAV();
        av_push(tuple, glue_string(aTHX_ name));
        av_push(tuple, glue_string(aTHX_ value));
        av_push(list, newRV_noinc((SV *)tuple));
    }
    return newRV_noinc((SV *)list);
}

static SV *head_hash(pTHX_ const pagi_head *head) {
    HV *hash = newHV();
    SV *path = glue_string(aTHX_ head->path);
    if (head->is_text) SvUTF8_on(path);
    glue_put(aTHX_ hash, "method", glue_string(aTHX_ head->method));
    glue_put(aTHX_ hash, "path", path);
    glue_put(aTHX_ hash, "raw_path", glue_string(aTHX_ head->raw_path));
    glue_put(aTHX_ hash, "query_string", glue_string(aTHX_ head->query));
    glue_put(aTHX_ hash, "http_version", glue_string(aTHX_ head->version));
    glue_put(aTHX_ hash, "headers", field_list(aTHX_ head->keep));
    glue_put(aTHX_ hash, "content_length",
             head->length < 0 ? newSV(0) : newSViv((IV)head->length));
    glue_put(aTHX_ hash, "chunked", newSViv(head->is_chunked));
    glue_put(aTHX_ hash, "expect_continue", newSViv(head->awaits_continue));
    return newRV_noinc((SV *)hash);
}

/* The request at the front of a buffer: a hash, an error hash, or undef while it is incomplete. */
SV *glue_request_head(pTHX_ SV *buffer, const UV *limits, size_t *used) {
    pagi_text text = glue_bytes(aTHX_ buffer, "The buffer");
    pagi_head head;
    SV *hash;
    Zero(&head, 1, pagi_head);
    pagi_codec_head(text, limits[0], limits[1], limits[2], &head);
    *used = head.used;
    if (head.status) return error_hash(aTHX_ head.status, head.message);
    if (!head.keep) return newSV(0);
    hash = head_hash(aTHX_ &head);
    pagi_codec_free(head.keep);
    return hash;
}

/* The data of the whole chunks at the front of a buffer, or an error hash. */
SV *glue_chunks(pTHX_ SV *buffer, UV max_chunk, size_t *used, int *is_last) {
    pagi_text text = glue_bytes(aTHX_ buffer, "The buffer");
    pagi_chunks chunks;
    Zero(&chunks, 1, pagi_chunks);
    pagi_codec_chunks(text, max_chunk, &chunks);
    *used = chunks.used;
    *is_last = chunks.is_last;
    if (chunks.status) return error_hash(aTHX_ chunks.status, chunks.message);
    return glue_owned(aTHX_ chunks.data);
}

/* The classes of PAGI::Server::Protocol give plain lists: reading them runs no Perl code. */
void glue_headers(pTHX_ SV *sv, pagi_value *value) {
    Zero(value, 1, pagi_value);
    if (SvOK(sv)) glue_pairs(aTHX_ sv, value);
}

/* Bytes from the core, or its complaint as an exception. */
static SV *bytes_or_die(pTHX_ pagi_owned bytes, pagi_owned error) {
    if (error.ptr) croak_sv(sv_2mortal(glue_owned(aTHX_ error)));
    return glue_owned(aTHX_ bytes);
}

SV *glue_response_start(pTHX_ U16 status, SV *headers, int is_chunked, int is_1_0) {
    pagi_owned error = { NULL, 0 };
    pagi_value value;
    glue_headers(aTHX_ headers, &value);
    {
        pagi_owned bytes = pagi_codec_start(status, &value, (U8)is_chunked, (U8)is_1_0, &error);
        return bytes_or_die(aTHX_ bytes, error);
    }
}

SV *glue_trailers(pTHX_ SV *headers) {
    pagi_owned error = { NULL, 0 };
    pagi_value value;
    glue_headers(aTHX_ headers, &value);
    {
        pagi_owned bytes = pagi_codec_trailers(&value, &error);
        return bytes_or_die(aTHX_ bytes, error);
    }
}

/* A piece of a body, framed where it is chunked; nothing for nothing. */
SV *glue_response_body(pTHX_ SV *chunk, int more, int is_chunked) {
    pagi_text text = glue_bytes(aTHX_ chunk, "The chunk");
    if (!text.len || !is_chunked) return glue_string(aTHX_ text);
    return glue_owned(aTHX_ pagi_codec_chunk(text, (U8)more));
}

/* The bytes of an event of a stream; plain data, as PAGI::Server::Connection gives it. */
SV *glue_event_bytes(pTHX_ HV *event) {
    pagi_owned error = { NULL, 0 };
    pagi_value values[PAGI_MAX_FIELDS];
    pagi_text given;
    ptrdiff_t row;
    Zero(values, PAGI_MAX_FIELDS, pagi_value);
    row = glue_decode(aTHX_ event, 0, &given, values);
    {
        pagi_owned bytes = pagi_codec_event(row, values, &error);
        return bytes_or_die(aTHX_ bytes, error);
    }
}
