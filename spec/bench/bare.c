/*
** bare.c: the peer of the benchmarks: the least C program that makes the same
** calls with libcurl, and the server that both talk to.
**   bare serve [bytes]        prints its port, answers every request alike,
**                             ends with its standard input
**   bare easy|multi URL n     n GETs on one connection; prints CPU µs a call
**   bare post URL n body      n POSTs, each on a connection of its own, as a
**                             submit has to be; prints CPU µs a call
**   bare fetch URL file       the body into the file; prints CPU s and bytes
*/
#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CLIENTS 1024
#define STATUS "{\"method\":\"/api/entrance/x/status\",\"status\":0," \
  "\"message\":\"OK\",\"data\":{\"status\":\"Running\",\"execID\":\"x\"}}"

static void die (const char *what) {
  perror(what);
  exit(1);
}

/* ---- server ---- */

static int listen_anywhere (void) {
  struct sockaddr_in a;
  socklen_t len = sizeof a;
  int fd = socket(AF_INET, SOCK_STREAM, 0);
  memset(&a, 0, sizeof a);
  a.sin_family = AF_INET;
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0 ||
      listen(fd, 128) != 0 ||
      getsockname(fd, (struct sockaddr *)&a, &len) != 0)
    die("listen");
  printf("%d\n", ntohs(a.sin_port));
  fflush(stdout);
  return fd;
}

static char *make_reply (size_t bytes, size_t *len) {
  size_t body = bytes > 0 ? bytes : sizeof STATUS - 1;
  char *reply = malloc(body + 256);
  int head;
  if (reply == NULL) die("malloc");
  head = sprintf(reply, "HTTP/1.1 200 OK\r\n"
                        "Content-Type: application/json;charset=utf-8\r\n"
                        "Content-Disposition: attachment;filename=x.csv\r\n"
                        "Content-Length: %zu\r\n\r\n", body);
  if (bytes > 0) memset(reply + head, 'x', body);
  else memcpy(reply + head, STATUS, body);
  *len = (size_t)head + body;
  return reply;
}

static int answer (int fd, const char *reply, size_t len) {
  char request[8192];
  if (read(fd, request, sizeof request) <= 0) return 0;
  while (len > 0) {
    ssize_t n = write(fd, reply, len);
    if (n <= 0) return 0;
    reply += n;
    len -= (size_t)n;
  }
  return 1;
}

static void take (int door, struct pollfd *fds, nfds_t *n) {
  int fd = accept(door, NULL, NULL), on = 1;
  if (fd < 0) return;
  if (*n == CLIENTS) {
    close(fd);
    return;
  }
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fds[*n].fd = fd;
  fds[(*n)++].events = POLLIN;
}

static int serve (size_t bytes) {
  static struct pollfd fds[CLIENTS];
  nfds_t n = 2;
  size_t len;
  char *reply = make_reply(bytes, &len);
  signal(SIGPIPE, SIG_IGN);
  fds[0].fd = listen_anywhere();
  fds[1].fd = 0;
  fds[0].events = fds[1].events = POLLIN;
  while (poll(fds, n, -1) > 0 && fds[1].revents == 0) {
    nfds_t known = n;
    if (fds[0].revents) take(fds[0].fd, fds, &n);
    for (nfds_t i = known; i-- > 2;) {
      if (fds[i].revents == 0 || answer(fds[i].fd, reply, len)) continue;
      close(fds[i].fd);
      fds[i] = fds[--n];
    }
  }
  free(reply);
  return 0;
}

/* ---- client ---- */

static double cpu (void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static size_t keep (char *bytes, size_t size, size_t n, void *to) {
  size_t *total = to;
  (void)bytes;
  *total += size * n;
  return size * n;
}

static void easy (CURL *c) {
  if (curl_easy_perform(c) != CURLE_OK) die("easy");
}

static CURLM *multi_handle;

static void multi (CURL *c) {
  CURLMsg *m;
  int running, left;
  curl_multi_add_handle(multi_handle, c);
  do {
    curl_multi_perform(multi_handle, &running);
    if (running) curl_multi_poll(multi_handle, NULL, 0, 1000, NULL);
  } while (running);
  m = curl_multi_info_read(multi_handle, &left);
  if (m == NULL || m->data.result != CURLE_OK) die("multi");
  curl_multi_remove_handle(multi_handle, c);
}

static int calls (const char *url, long n, void (*call) (CURL *),
                  const char *body) {
  CURL *c = curl_easy_init();
  size_t total = 0;
  double from;
  multi_handle = curl_multi_init();
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, keep);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &total);
  curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 60000L);
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_PROXY, "");
  curl_easy_setopt(c, CURLOPT_URL, url);
  if (body != NULL) {
    curl_easy_setopt(c, CURLOPT_FRESH_CONNECT, 1L);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER,
      curl_slist_append(NULL, "Content-Type: application/json"));
    curl_easy_setopt(c, CURLOPT_POSTFIELDS, body);
  }
  call(c);
  from = cpu();
  for (long i = 0; i < n; i++) {
    curl_easy_setopt(c, CURLOPT_URL, url); /* as every poll has its own */
    call(c);
  }
  printf("%.3f\n", (cpu() - from) / (double)n * 1e6);
  curl_easy_cleanup(c);
  curl_multi_cleanup(multi_handle);
  return total > 0 ? 0 : 1;
}

static size_t store (char *bytes, size_t size, size_t n, void *file) {
  return fwrite(bytes, size, n, file);
}

static int fetch (const char *url, const char *path) {
  CURL *c = curl_easy_init();
  FILE *file = fopen(path, "wb");
  curl_off_t bytes = 0;
  double from = cpu();
  if (file == NULL) die(path);
  curl_easy_setopt(c, CURLOPT_URL, url);
  curl_easy_setopt(c, CURLOPT_PROXY, "");
  curl_easy_setopt(c, CURLOPT_BUFFERSIZE, 65536L);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, store);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, file);
  easy(c);
  fclose(file);
  curl_easy_getinfo(c, CURLINFO_SIZE_DOWNLOAD_T, &bytes);
  printf("%.6f %lld\n", cpu() - from, (long long)bytes);
  curl_easy_cleanup(c);
  return 0;
}

int main (int argc, char **argv) {
  if (argc >= 2 && strcmp(argv[1], "serve") == 0)
    return serve(argc > 2 ? strtoul(argv[2], NULL, 10) : 0);
  curl_global_init(CURL_GLOBAL_DEFAULT);
  if (argc == 4 && strcmp(argv[1], "easy") == 0)
    return calls(argv[2], strtol(argv[3], NULL, 10), easy, NULL);
  if (argc == 4 && strcmp(argv[1], "multi") == 0)
    return calls(argv[2], strtol(argv[3], NULL, 10), multi, NULL);
  if (argc == 5 && strcmp(argv[1], "post") == 0)
    return calls(argv[2], strtol(argv[3], NULL, 10), multi, argv[4]);
  if (argc == 4 && strcmp(argv[1], "fetch") == 0)
    return fetch(argv[2], argv[3]);
  fprintf(stderr, "usage: bare serve [bytes] | easy URL n | multi URL n |"
                  " post URL n body | fetch URL file\n");
  return 2;
}
