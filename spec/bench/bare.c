/*
** bare.c: the peer of the benchmarks: the least C program that makes the same
** calls with libcurl, and the server that both talk to.
**   bare serve [bytes]        prints its port; ends with its standard input.
**                             GET /served: how many other requests came so far;
**                             a path with "/jobhistory/": a record of real size;
**                             any other: a status, or so many bytes
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

/* a record as a Linkis 1.8 sends it, with the headers that come with it */
#define RECORD_HEAD "HTTP/1.1 200 OK\r\n" \
  "Access-Control-Allow-Origin: *\r\n" \
  "Access-Control-Allow-Credentials: true\r\n" \
  "Access-Control-Allow-Headers: authorization,Content-Type\r\n" \
  "Access-Control-Allow-Methods: POST, GET, OPTIONS, PUT, HEAD, DELETE\r\n" \
  "Date: Sunday, November 22, 2026 1:50:23 AM UTC\r\n" \
  "Date: Sunday, November 22, 2026 1:50:23 AM UTC\r\n" \
  "Access-Control-Allow-Origin: *\r\n" \
  "Access-Control-Allow-Credentials: true\r\n" \
  "Access-Control-Allow-Headers: authorization,Content-Type\r\n" \
  "Access-Control-Allow-Methods: POST,GET,OPTIONS,PUT,HEAD,DELETE\r\n" \
  "Content-Type: application/json;charset=utf-8\r\n"
#define RECORD "{\"method\":\"/api/jobhistory/39/get\",\"status\":0," \
  "\"message\":\"OK\",\"data\":{\"task\":{\"taskID\":39," \
  "\"instance\":\"127.0.0.1:9104\",\"execId\":\"NIGHTLY_hadoop_spark_0\"," \
  "\"umUser\":\"hadoop\",\"engineInstance\":\"127.0.0.1:38409\"," \
  "\"progress\":\"0.4\",\"logPath\":\"hdfs:///logs/2026/NIGHTLY/39.log\"," \
  "\"resultLocation\":\"hdfs:///results/2026-11-22/015023/NIGHTLY/39\"," \
  "\"status\":\"Running\",\"createdTime\":1795312297000," \
  "\"updatedTime\":1795312317733,\"engineType\":\"spark\",\"errCode\":null," \
  "\"errDesc\":null,\"executeApplicationName\":\"spark\"," \
  "\"requestApplicationName\":\"NIGHTLY\",\"runType\":\"sql\"," \
  "\"paramsJson\":\"{\\\"configuration\\\":{\\\"startup\\\":{" \
  "\\\"spark.executor.cores\\\":\\\"4\\\"},\\\"runtime\\\":{" \
  "\\\"taskclient.key\\\":\\\"0123456789abcdef0123456789abcdef\\\"}}," \
  "\\\"variable\\\":{\\\"day\\\":\\\"2026-11-22\\\"}}\"," \
  "\"costTime\":20000,\"strongerExecId\":\"exec_id018014linkis-cg-entrance" \
  "127.0.0.1:9104NIGHTLY_hadoop_spark_0\",\"sourceJson\":\"{" \
  "\\\"taskclient.key\\\":\\\"0123456789abcdef0123456789abcdef\\\"," \
  "\\\"requestIP\\\":\\\"127.0.0.1\\\"}\",\"sourceTailor\":\"127.0.0.1\"," \
  "\"engineStartTime\":null,\"labels\":[\"userCreator:hadoop-NIGHTLY\"," \
  "\"codeType:sql\",\"engineType:spark-3.2.1\"],\"canRetry\":false," \
  "\"observeInfo\":null,\"isReuse\":null,\"executionCode\":null," \
  "\"requestStartTime\":1795312297000,\"requestSpendTime\":null," \
  "\"metrics\":null,\"jobCount\":null,\"largeCount\":null}}}"

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

typedef struct text {
  char *ptr;
  size_t len;
} text;

/* text NULL: so many bytes of filling */
static text make_reply (const char *head, const char *body, size_t bytes) {
  text reply = { malloc(strlen(head) + bytes + 64), 0 };
  if (reply.ptr == NULL) die("malloc");
  reply.len = (size_t)sprintf(reply.ptr, "%sContent-Length: %zu\r\n\r\n", head,
                              bytes);
  if (body != NULL) memcpy(reply.ptr + reply.len, body, bytes);
  else memset(reply.ptr + reply.len, 'x', bytes);
  reply.len += bytes;
  return reply;
}

static text plain, record;
static unsigned long served;

static int answer (int fd) {
  char request[8192], count[160];
  ssize_t n = read(fd, request, sizeof request - 1);
  const char *reply = plain.ptr;
  size_t len = plain.len;
  if (n <= 0) return 0;
  request[n] = '\0';
  if (strncmp(request, "GET /served ", 12) == 0) {
    int digits = snprintf(NULL, 0, "%lu", served);
    len = (size_t)snprintf(count, sizeof count, "HTTP/1.1 200 OK\r\n"
                           "Content-Length: %d\r\n\r\n%lu", digits, served);
    reply = count;
  }
  else {
    served++;
    if (strstr(request, "/jobhistory/") != NULL) {
      reply = record.ptr;
      len = record.len;
    }
  }
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
  const char *head = "HTTP/1.1 200 OK\r\n"
                     "Content-Type: application/json;charset=utf-8\r\n"
                     "Content-Disposition: attachment;filename=x.csv\r\n";
  plain = bytes > 0 ? make_reply(head, NULL, bytes)
                    : make_reply(head, STATUS, sizeof STATUS - 1);
  record = make_reply(RECORD_HEAD, RECORD, sizeof RECORD - 1);
  signal(SIGPIPE, SIG_IGN);
  fds[0].fd = listen_anywhere();
  fds[1].fd = 0;
  fds[0].events = fds[1].events = POLLIN;
  while (poll(fds, n, -1) > 0 && fds[1].revents == 0) {
    nfds_t known = n;
    if (fds[0].revents) take(fds[0].fd, fds, &n);
    for (nfds_t i = known; i-- > 2;) {
      if (fds[i].revents == 0 || answer(fds[i].fd)) continue;
      close(fds[i].fd);
      fds[i] = fds[--n];
    }
  }
  free(plain.ptr);
  free(record.ptr);
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
