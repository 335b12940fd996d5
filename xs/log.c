/* A line of the access log from a plain hash. */
#include "glue.h"

static SV *item(pTHX_ HV *info, const char *key) {
    SV **slot = hv_fetch(info, key, (I32)strlen(key), 0);
    if (!slot || !SvOK(*slot)) return NULL;
    return SvGMAGICAL(*slot) ? sv_2mortal(newSVsv(*slot)) : *slot;
}

/* Characters are written as UTF-8. */
static pagi_text text_of(pTHX_ SV *sv) {
    pagi_text text = { NULL, 0 };
    STRLEN len;
    if (!sv) return text;
    text.ptr = SvPV(sv, len);
    text.len = len;
    return text;
}

static NV number_of(pTHX_ SV *sv) {
    return sv && looks_like_number(sv) ? SvNV(sv) : 0;
}

/* Everything that may run Perl code comes before the core is called. */
SV *glue_log_line(pTHX_ SV *format, HV *hash) {
    pagi_log_info info;
    pagi_text source;
    SV *stamp = item(aTHX_ hash, "timestamp"), *headers = item(aTHX_ hash, "request_headers");
    NV status = number_of(aTHX_ item(aTHX_ hash, "status"));
    NV size = number_of(aTHX_ item(aTHX_ hash, "size"));
    STRLEN len;
    Zero(&info, 1, pagi_log_info);
    info.client = text_of(aTHX_ item(aTHX_ hash, "client_ip"));
    info.method = text_of(aTHX_ item(aTHX_ hash, "method"));
    info.path = text_of(aTHX_ item(aTHX_ hash, "path"));
    info.query = text_of(aTHX_ item(aTHX_ hash, "query"));
    info.version = text_of(aTHX_ item(aTHX_ hash, "http_version"));
    info.duration = number_of(aTHX_ item(aTHX_ hash, "duration"));
    info.status = status > 0 && status < 65536 ? (U16)status : 0;
    info.size = size > 0 ? (size_t)size : 0;
    if (stamp && looks_like_number(stamp)) info.time = SvNV(stamp);
    else info.stamp = text_of(aTHX_ stamp);
    if (!stamp) info.stamp.ptr = "-", info.stamp.len = 1;
    if (headers) glue_pairs(aTHX_ headers, &info.headers);
    source.ptr = SvPVutf8(format, len);
    source.len = len;
    return glue_owned(aTHX_ pagi_log_line(source, &info));
}
