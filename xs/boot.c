/* The tables of an interpreter: the vocabulary with its keys ready for lookup. */
#include "glue.h"

#include <pthread.h>

#define MY_CXT_KEY "PAGI::Server::_guts" XS_VERSION
START_MY_CXT

/* Counts forks: a handle made before the last one belongs to another process. */
U32 pagi_generation = 0;

static void forked(void) {
    pagi_generation++;
}

my_cxt_t *glue_tables(pTHX) {
    dMY_CXT;
    return &MY_CXT;
}

static SV *shared_key(pTHX_ const char *name, size_t len) {
    return newSVpvn_share(name, (I32)len, 0);
}

static void read_events(pTHX_ my_cxt_t *cxt) {
    pagi_event_row_t row;
    cxt->rows = newHV();
    for (cxt->event_count = 0;
         cxt->event_count < PAGI_MOST_EVENTS && pagi_event_row(cxt->event_count, &row);
         cxt->event_count++) {
        glue_event *event = &cxt->events[cxt->event_count];
        U8 at;
        event->name = shared_key(aTHX_ row.name.ptr, row.name.len);
        event->is_sent = row.is_sent;
        event->count = row.count;
        for (at = 0; at < row.count; at++) {
            pagi_field_row *field = &row.fields[at];
            event->fields[at].key = shared_key(aTHX_ field->name.ptr, field->name.len);
            event->fields[at].hash = SvSHARED_HASH(event->fields[at].key);
            event->fields[at].kind = field->kind;
        }
        if (row.is_sent) {
            (void)hv_store_ent(cxt->rows, event->name, newSViv((IV)cxt->event_count), 0);
        }
    }
}

static void add_key(pTHX_ glue_scope_type *type, const pagi_field_row *row) {
    glue_key *key = &type->keys[type->count];
    key->key = shared_key(aTHX_ row->name.ptr, row->name.len);
    key->hash = SvSHARED_HASH(key->key);
    key->kind = row->kind;
}

static void read_keys(pTHX_ glue_scope_type *scope, size_t kind) {
    pagi_field_row row;
    for (; scope->count < PAGI_MOST_KEYS && pagi_scope_row(kind, scope->count, &row);
         scope->count++) {
        add_key(aTHX_ scope, &row);
    }
}

static void read_scopes(pTHX_ my_cxt_t *cxt) {
    size_t kind;
    for (kind = 0; kind < PAGI_MOST_SCOPES; kind++) {
        pagi_text name = pagi_scope_name(kind);
        glue_scope_type *scope = &cxt->scopes[kind];
        if (!name.len) break;
        scope->name = newSVpvn(name.ptr, name.len);
        scope->validator = newSVpvf("PAGI::Server::EventValidator::validate_%" SVf "_send",
                                    SVfARG(scope->name));
        read_keys(aTHX_ scope, kind);
    }
}

static void read_tls(pTHX_ my_cxt_t *cxt) {
    pagi_text name = pagi_tls_name();
    pagi_field_row row;
    glue_scope_type *tls = &cxt->tls;
    tls->name = shared_key(aTHX_ name.ptr, name.len);
    for (; tls->count < PAGI_MOST_KEYS && pagi_tls_row(tls->count, &row); tls->count++) {
        add_key(aTHX_ tls, &row);
    }
}

static void read_tables(pTHX_ my_cxt_t *cxt) {
    Zero(cxt, 1, my_cxt_t);
    read_events(aTHX_ cxt);
    read_scopes(aTHX_ cxt);
    read_tls(aTHX_ cxt);
    cxt->type_key = shared_key(aTHX_ "type", 4);
    cxt->ready_key = shared_key(aTHX_ "ready", 5);
    cxt->result_key = shared_key(aTHX_ "result", 6);
    cxt->failure_key = shared_key(aTHX_ "failure", 7);
    cxt->logger = gv_fetchpvs("PAGI::Server::Log::LOGGER", GV_ADD, SVt_PV);
    SvREFCNT_inc_simple_void_NN((SV *)cxt->logger);
    cxt->started_key = shared_key(aTHX_ "started", 7);
    cxt->complete_key = shared_key(aTHX_ "complete", 8);
    cxt->waiter_key = shared_key(aTHX_ "waiter", 6);
    cxt->awaits_key = shared_key(aTHX_ "awaits", 6);
    cxt->callbacks_key = shared_key(aTHX_ "callbacks", 9);
    cxt->revoke_key = shared_key(aTHX_ "revoke_when_ready", 17);
    cxt->on_cancel_key = shared_key(aTHX_ "on_cancel", 9);
    cxt->version_key = shared_key(aTHX_ "version", 7);
    cxt->spec_version_key = shared_key(aTHX_ "spec_version", 12);
    cxt->future_stash = gv_stashpvs("PAGI::Server::Future", GV_ADD);
    cxt->pending_stash = gv_stashpvs("PAGI::Server::Pending", GV_ADD);
    cxt->connection_stash = gv_stashpvs("PAGI::Server::ConnectionState", GV_ADD);
    cxt->transport_stash = gv_stashpvs("PAGI::Server::TransportState", GV_ADD);
}

void glue_boot_tables(pTHX) {
    MY_CXT_INIT;
    read_tables(aTHX_ &MY_CXT);
    pthread_atfork(NULL, NULL, forked);
}

/* A new interpreter: its tables hold its own scalars. */
void glue_clone_tables(pTHX) {
    MY_CXT_CLONE;
    read_tables(aTHX_ &MY_CXT);
}

/* Called by the exported boot function, which perl calls with (interpreter, cv) where it has
 * threads and with (cv) where it has not. */
XS_EXTERNAL(boot_PAGI__Server__glue);

void pagi_boot(void *first, void *second) {
#ifdef MULTIPLICITY
    boot_PAGI__Server__glue((PerlInterpreter *)first, (CV *)second);
#else
    PERL_UNUSED_VAR(second);
    boot_PAGI__Server__glue((CV *)first);
#endif
}
