/* SPDX-License-Identifier: Apache-2.0
 *
 * echo_server.c - a bare libmicrohttpd that answers a POST with the bytes it was sent: the floor for bench_http.py and
 * bench_binary.py.
 *
 * echo_server PORT [MOST], until SIGTERM; with MOST it answers the first so many bytes alone. One epoll thread and 32 KiB a connection, as the daemon runs it.
 */
#include <microhttpd.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t most = SIZE_MAX;

struct body {
    size_t size, capacity;
    char *bytes;
};

/* The body's next piece; false: no memory. */
static bool append(struct body *body, const char *bytes, size_t n)
{
    if (body->capacity - body->size < n) {
        size_t capacity = body->capacity + n > 2 * body->capacity ? body->capacity + n : 2 * body->capacity;
        char *grown = realloc(body->bytes, capacity);
        if (grown == NULL) {
            return false;
        }
        body->bytes = grown;
        body->capacity = capacity;
    }
    memcpy(body->bytes + body->size, bytes, n);
    body->size += n;
    return true;
}

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection, const char *url, const char *method,
                              const char *version, const char *upload, size_t *upload_size, void **state)
{
    (void)arg, (void)url, (void)method, (void)version;
    struct body *body = *state;

    if (body == NULL) {
        *state = calloc(1, sizeof *body);
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    if (*upload_size > 0) {
        bool kept = append(body, upload, *upload_size);
        *upload_size = 0;
        return kept ? MHD_YES : MHD_NO;
    }
    size_t size = body->size < most ? body->size : most;
    struct MHD_Response *response = MHD_create_response_from_buffer(size, body->bytes, MHD_RESPMEM_PERSISTENT);
    if (response == NULL) {
        return MHD_NO;
    }
    enum MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return queued;
}

static void completed(void *arg, struct MHD_Connection *connection, void **state, enum MHD_RequestTerminationCode why)
{
    (void)arg, (void)connection, (void)why;
    struct body *body = *state;
    if (body != NULL) {
        free(body->bytes);
        free(body);
    }
}

int main(int argc, char **argv)
{
    int port = argc == 2 || argc == 3 ? atoi(argv[1]) : 0;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    sigset_t stop;
    int signal_number;

    if (port <= 0) {
        fprintf(stderr, "usage: echo_server PORT [MOST]\n");
        return 2;
    }
    if (argc == 3) {
        most = strtoul(argv[2], NULL, 10);
    }
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    pthread_sigmask(SIG_BLOCK, &stop, NULL);
    struct MHD_Daemon *daemon =
        MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, 0, NULL, NULL, answer, NULL, MHD_OPTION_SOCK_ADDR,
                         (struct sockaddr *)&address, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)32 * 1024,
                         MHD_OPTION_NOTIFY_COMPLETED, completed, NULL, MHD_OPTION_END);
    if (daemon == NULL) {
        fprintf(stderr, "echo_server: cannot listen on port %d\n", port);
        return 1;
    }
    sigwait(&stop, &signal_number);
    MHD_stop_daemon(daemon);
    return 0;
}
