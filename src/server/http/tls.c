/* SPDX-License-Identifier: Apache-2.0
 *
 * tls.c - credentials that are counted, and swapped whole.
 */
#include <server/http/tls.h>

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>

#include <server/log.h>

struct tls_identity {
    atomic_size_t holders;
    gnutls_certificate_credentials_t credentials;
    bool asks_clients;
    int64_t expires;
};

struct tls {
    struct tls_files files;
    pthread_mutex_t mutex; /* guards `identity` */
    struct tls_identity *identity;
};

/* --- files --- */

static loss_status bad_file(struct loss_error *err, const char *option, const char *path, const char *why)
{
    return loss_fail(err, LOSS_INVALID_PARAMETER, "", "%s %s: %s", option, path, why);
}

/* GnuTLS says of a missing file only that it could not read it. */
static loss_status check_file(struct loss_error *err, const char *option, const char *path)
{
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return bad_file(err, option, path, strerror(errno));
    }
    fclose(f);
    return LOSS_OK;
}

static void warn_of_mode(const char *path)
{
    struct stat s;
    if (stat(path, &s) == 0 && S_ISREG(s.st_mode) && (s.st_mode & S_IROTH) != 0) {
        log_line(LOG_WARNING, "%s is a private key that others can read (mode %04o)", path,
                 (unsigned)(s.st_mode & 07777));
    }
}

static void format_day(int64_t seconds, char text[32])
{
    time_t t = (time_t)seconds;
    struct tm parts;
    gmtime_r(&t, &parts);
    strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static loss_status check_dates(const char *path, gnutls_x509_crt_t leaf, int64_t *expires, struct loss_error *err)
{
    int64_t now = time(NULL), from = gnutls_x509_crt_get_activation_time(leaf);
    char day[32], why[96];

    *expires = gnutls_x509_crt_get_expiration_time(leaf);
    if (now < from) {
        format_day(from, day);
        snprintf(why, sizeof why, "the certificate is not valid before %s", day);
        return bad_file(err, "--tls-cert", path, why);
    }
    if (now >= *expires) {
        format_day(*expires, day);
        snprintf(why, sizeof why, "the certificate expired at %s", day);
        return bad_file(err, "--tls-cert", path, why);
    }
    return LOSS_OK;
}

static loss_status check_leaf(const char *path, struct tls_identity *id, struct loss_error *err)
{
    gnutls_x509_crt_t *chain = NULL;
    unsigned n = 0;
    char name[256] = "", day[32];
    size_t size = sizeof name;

    int rc = gnutls_certificate_get_x509_crt(id->credentials, 0, &chain, &n);
    if (rc < 0) {
        return bad_file(err, "--tls-cert", path, gnutls_strerror(rc));
    }
    loss_status status = check_dates(path, chain[0], &id->expires, err);
    if (status == LOSS_OK) {
        (void)gnutls_x509_crt_get_dn(chain[0], name, &size);
        format_day(id->expires, day);
        log_line(LOG_INFO, "the certificate of %s is valid until %s", name, day);
    }
    for (unsigned i = 0; i < n; i++) {
        gnutls_x509_crt_deinit(chain[i]);
    }
    gnutls_free(chain);
    return status;
}

static loss_status read_files(const struct tls_files *files, struct tls_identity *id, struct loss_error *err)
{
    LOSS_TRY(check_file(err, "--tls-cert", files->cert));
    LOSS_TRY(check_file(err, "--tls-key", files->key));
    int rc =
        gnutls_certificate_set_x509_key_file2(id->credentials, files->cert, files->key, GNUTLS_X509_FMT_PEM, NULL, 0);
    if (rc < 0) {
        return loss_fail(err, LOSS_INVALID_PARAMETER, "", "--tls-cert %s and --tls-key %s: %s", files->cert, files->key,
                         gnutls_strerror(rc));
    }
    LOSS_TRY(check_leaf(files->cert, id, err));
    warn_of_mode(files->key);
    if (files->client_ca == NULL) {
        return LOSS_OK;
    }
    LOSS_TRY(check_file(err, "--tls-client-ca", files->client_ca));
    rc = gnutls_certificate_set_x509_trust_file(id->credentials, files->client_ca, GNUTLS_X509_FMT_PEM);
    if (rc <= 0) {
        return bad_file(err, "--tls-client-ca", files->client_ca,
                        rc < 0 ? gnutls_strerror(rc) : "there is no certificate in it");
    }
    id->asks_clients = true;
    return LOSS_OK;
}

static loss_status identity_new(const struct tls_files *files, struct tls_identity **out, struct loss_error *err)
{
    struct tls_identity *id = calloc(1, sizeof *id);
    if (id == NULL || gnutls_certificate_allocate_credentials(&id->credentials) < 0) {
        free(id);
        return loss_no_memory(err, "the certificate");
    }
    id->holders = 1;
    loss_status status = read_files(files, id, err);
    if (status != LOSS_OK) {
        tls_end(id);
        return status;
    }
    *out = id;
    return LOSS_OK;
}

void tls_end(struct tls_identity *identity)
{
    if (identity != NULL && atomic_fetch_sub(&identity->holders, 1) == 1) {
        gnutls_certificate_free_credentials(identity->credentials);
        free(identity);
    }
}

loss_status tls_reload(struct tls *t, struct loss_error *err)
{
    struct tls_identity *fresh = NULL;
    LOSS_TRY(identity_new(&t->files, &fresh, err));
    pthread_mutex_lock(&t->mutex);
    struct tls_identity *old = t->identity;
    t->identity = fresh;
    pthread_mutex_unlock(&t->mutex);
    tls_end(old);
    return LOSS_OK;
}

loss_status tls_open(const struct tls_files *files, struct tls **out, struct loss_error *err)
{
    struct tls *t = calloc(1, sizeof *t);
    if (t == NULL) {
        return loss_no_memory(err, "the certificate");
    }
    t->files = *files;
    pthread_mutex_init(&t->mutex, NULL);
    loss_status status = tls_reload(t, err);
    if (status != LOSS_OK) {
        tls_close(t);
        return status;
    }
    *out = t;
    return LOSS_OK;
}

void tls_close(struct tls *t)
{
    if (t != NULL) {
        tls_end(t->identity);
        pthread_mutex_destroy(&t->mutex);
        free(t);
    }
}

int64_t tls_expires(struct tls *t)
{
    pthread_mutex_lock(&t->mutex);
    int64_t expires = t->identity->expires;
    pthread_mutex_unlock(&t->mutex);
    return expires;
}

/* --- a connection --- */

static bool same_bytes(const gnutls_datum_t *a, const gnutls_datum_t *b)
{
    return a->size == b->size && memcmp(a->data, b->data, a->size) == 0;
}

/* Is it our own? Whoever has its private key is this server, or a probe beside it. */
static bool is_own(gnutls_session_t session)
{
    gnutls_certificate_credentials_t own = NULL;
    gnutls_datum_t leaf;
    unsigned n = 0;
    const gnutls_datum_t *peer = gnutls_certificate_get_peers(session, &n);
    return n > 0 && gnutls_credentials_get(session, GNUTLS_CRD_CERTIFICATE, (void **)&own) == 0 &&
           gnutls_certificate_get_crt_raw(own, 0, 0, &leaf) == 0 && same_bytes(&leaf, &peer[0]);
}

/* libmicrohttpd tells a client nothing of why a handshake fails. */
static void refuse(gnutls_session_t session, gnutls_alert_description_t alert, const char *why)
{
    log_line(LOG_INFO, "a client was refused in the handshake: %s", why);
    (void)gnutls_alert_send(session, GNUTLS_AL_FATAL, alert);
}

void tls_none_shown(void *session)
{
    bool has_alert = gnutls_protocol_get_version(session) == GNUTLS_TLS1_3;
    refuse(session, has_alert ? GNUTLS_A_CERTIFICATE_REQUIRED : GNUTLS_A_HANDSHAKE_FAILURE, "it showed no certificate");
}

static gnutls_alert_description_t alert_of(unsigned status)
{
    return (status & GNUTLS_CERT_SIGNER_NOT_FOUND) != 0 ? GNUTLS_A_UNKNOWN_CA
           : (status & GNUTLS_CERT_EXPIRED) != 0        ? GNUTLS_A_CERTIFICATE_EXPIRED
                                                        : GNUTLS_A_BAD_CERTIFICATE;
}

/* In the handshake, where the client's certificate is there. Not 0: it fails. */
static int verify_client(gnutls_session_t session)
{
    gnutls_typed_vdata_st purpose = {.type = GNUTLS_DT_KEY_PURPOSE_OID,
                                     .data = (unsigned char *)(uintptr_t)GNUTLS_KP_TLS_WWW_CLIENT};
    unsigned status = 0;
    gnutls_datum_t why = {.data = NULL};

    if (is_own(session)) {
        return 0;
    }
    int rc = gnutls_certificate_verify_peers(session, &purpose, 1, &status);
    if (rc == 0 && status == 0) {
        return 0;
    }
    if (rc == 0) {
        (void)gnutls_certificate_verification_status_print(status, GNUTLS_CRT_X509, &why, 0);
    }
    refuse(session, alert_of(status), why.data != NULL ? (const char *)why.data : gnutls_strerror(rc));
    gnutls_free(why.data);
    return GNUTLS_E_CERTIFICATE_ERROR;
}

struct tls_identity *tls_begin(struct tls *t, void *session)
{
    pthread_mutex_lock(&t->mutex);
    struct tls_identity *id = t->identity;
    atomic_fetch_add(&id->holders, 1);
    pthread_mutex_unlock(&t->mutex);
    if (id->asks_clients) {
        gnutls_certificate_server_set_request(session, GNUTLS_CERT_REQUIRE);
        gnutls_session_set_verify_function(session, verify_client);
    }
    if (gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, id->credentials) < 0) {
        tls_end(id);
        return NULL;
    }
    return id;
}

void tls_send(void *session, const void *bytes, size_t n)
{
    const char *p = bytes;
    while (n > 0) {
        ssize_t sent = gnutls_record_send(session, p, n);
        if (sent <= 0) {
            return;
        }
        p += sent;
        n -= (size_t)sent;
    }
}

void tls_bye(void *session)
{
    (void)gnutls_bye(session, GNUTLS_SHUT_WR); /* a client that is gone needs no good-bye */
}

/* --- a probe --- */

static size_t exchange(gnutls_session_t session, const char *request, char *answer, size_t size)
{
    size_t n = 0;
    int rc;
    do {
        rc = gnutls_handshake(session);
    } while (rc < 0 && gnutls_error_is_fatal(rc) == 0 && rc != GNUTLS_E_AGAIN);
    if (rc < 0 || gnutls_record_send(session, request, strlen(request)) < 0) {
        return 0;
    }
    while (n < size) {
        ssize_t got = gnutls_record_recv(session, answer + n, size - n);
        if (got <= 0) {
            break;
        }
        n += (size_t)got;
    }
    return n;
}

size_t tls_ask(int fd, const char *cert, const char *key, const char *request, char *answer, size_t size)
{
    gnutls_certificate_credentials_t own = NULL;
    gnutls_session_t session = NULL;
    size_t n = 0;

    if (gnutls_certificate_allocate_credentials(&own) < 0 || gnutls_init(&session, GNUTLS_CLIENT) < 0) {
        goto out;
    }
    if (key != NULL) { /* where it does not do, there is just none to show */
        (void)gnutls_certificate_set_x509_key_file2(own, cert, key, GNUTLS_X509_FMT_PEM, NULL, 0);
    }
    if (gnutls_set_default_priority(session) == 0 &&
        gnutls_credentials_set(session, GNUTLS_CRD_CERTIFICATE, own) == 0) {
        gnutls_transport_set_int(session, fd);
        n = exchange(session, request, answer, size);
    }
out:
    if (session != NULL) {
        gnutls_deinit(session);
    }
    gnutls_certificate_free_credentials(own);
    return n;
}
