/*
** page_server.c: a job server as fast as can be, for benchmarks: job history,
** the list of one result file, and its pages, made once; and job 2, which runs
** and has a log of 20,000 lines. Arguments: rows in the
** result, rows a page, MB a second (0: no limit). Prints its port; ends when its
** input closes.
*/
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define LOG_LINES 20000

typedef struct text {
  char *ptr;
  size_t len, cap;
} text;

static void add (text *t, const char *bytes) {
  size_t n = strlen(bytes);
  while (t->len + n + 1 > t->cap) {
    t->cap = t->cap ? t->cap * 2 : 4096;
    t->ptr = realloc(t->ptr, t->cap);
    if (t->ptr == NULL) exit(1);
  }
  memcpy(t->ptr + t->len, bytes, n + 1);
  t->len += n;
}

static text reply (const char *data) {
  text body = {0}, whole = {0};
  char head[256];
  add(&body, "{\"method\":\"/api\",\"status\":0,\"message\":\"OK\",\"data\":");
  add(&body, data);
  add(&body, "}");
  snprintf(head, sizeof head,
           "HTTP/1.1 200 OK\r\nContent-Type: application/json;charset=utf-8\r\n"
           "Content-Length: %zu\r\n\r\n", body.len);
  add(&whole, head);
  add(&whole, body.ptr);
  free(body.ptr);
  return whole;
}

static const char *columns =
  "[{\"columnName\":\"id\",\"comment\":\"\",\"dataType\":\"bigint\"},"
  "{\"columnName\":\"name\",\"comment\":\"\",\"dataType\":\"string\"},"
  "{\"columnName\":\"amount\",\"comment\":\"\",\"dataType\":\"decimal\"},"
  "{\"columnName\":\"note\",\"comment\":\"\",\"dataType\":\"string\"},"
  "{\"columnName\":\"day\",\"comment\":\"\",\"dataType\":\"date\"}]";

static text page_of (long rows) {
  text data = {0}, whole;
  char row[256];
  long i;
  snprintf(row, sizeof row, "{\"metadata\":");
  add(&data, row);
  add(&data, columns);
  snprintf(row, sizeof row, ",\"totalPage\":0,\"totalColumn\":5,"
           "\"totalLine\":%ld,\"page\":1,\"type\":\"2\",\"fileContent\":[", rows);
  add(&data, row);
  for (i = 0; i < rows; i++) {
    const char *note = i % 7 == 0 ? "null" : i % 11 == 0
                     ? "\"said \\\"yes\\\", then left\"" : "\"shipped on time\"";
    snprintf(row, sizeof row,
             "%s[\"%ld\",\"customer %ld of the north\",\"%ld.%02ld\",%s,"
             "\"2026-01-%02ld\"]", i ? "," : "", 1000000 + i, i * 37 % 9973,
             i * 13 % 5000, i % 100, note, i % 28 + 1);
    add(&data, row);
  }
  add(&data, "]}");
  whole = reply(data.ptr);
  free(data.ptr);
  return whole;
}

static double rate; /* bytes a second, 0: no limit */

static double now (void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* sleeps until so many bytes may have gone out since the start */
static void pace (double start, size_t sent) {
  double rest = rate > 0 ? start + (double)sent / rate - now() : 0;
  if (rest > 0) {
    struct timespec t = {(time_t)rest, (long)((rest - (time_t)rest) * 1e9)};
    nanosleep(&t, NULL);
  }
}

static void send_all (int fd, const text *t) {
  size_t sent = 0, most = rate > 0 ? 65536 : t->len;
  double start = now();
  while (sent < t->len) {
    size_t part = t->len - sent < most ? t->len - sent : most;
    ssize_t n = send(fd, t->ptr + sent, part, MSG_NOSIGNAL);
    if (n <= 0) exit(0);
    sent += (size_t)n;
    pace(start, sent);
  }
}

static text full, rest, none, task, running, tree, info;
static long pages, left;

/* the lines of the log from the one that is asked for on */
static const text *log_of (const char *request) {
  static text whole;
  text data = {0};
  char line[200];
  const char *from = strstr(request, "fromLine="), *size = strstr(request, "size=");
  long first = from ? atol(from + 9) : 0, n = size ? atol(size + 5) : 0, i;
  long end = first + n < LOG_LINES ? first + n : LOG_LINES;
  snprintf(line, sizeof line, "{\"execID\":\"exec\",\"fromLine\":%ld,\"log\":\"",
           end > first ? end : first);
  add(&data, line);
  for (i = first; i < end; i++) {
    snprintf(line, sizeof line, "%s2026-01-05 03:%02ld:%02ld.%03ld INFO  [Linkis-Default-"
             "Scheduler-Thread-%ld] Stage (%ld) - task %ld done in %ld ms",
             i > first ? "\\n" : "", i / 60 % 60, i % 60, i % 1000, i % 20, i % 77, i,
             i * 7 % 999);
    add(&data, line);
  }
  add(&data, "\"}");
  free(whole.ptr);
  whole = reply(data.ptr);
  free(data.ptr);
  return &whole;
}

static const text *answer (const char *request) {
  const char *at = strstr(request, "page=");
  long n = at != NULL ? atol(at + 5) : 0;
  if (strstr(request, "/openFile?") != NULL)
    return n <= pages ? &full : n == pages + 1 && left > 0 ? &rest : &none;
  if (strstr(request, "/log?") != NULL) return log_of(request);
  if (strstr(request, "/jobhistory/2/get") != NULL) return &running;
  if (strstr(request, "/getDirFileTrees?") != NULL) return &tree;
  if (strstr(request, "/fileInfo?") != NULL) return &info;
  return &task;
}

static void serve (int fd) {
  char request[65536];
  size_t have = 0;
  ssize_t n;
  int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  while ((n = recv(fd, request + have, sizeof request - have - 1, 0)) > 0) {
    have += (size_t)n;
    request[have] = '\0';
    if (strstr(request, "\r\n\r\n") == NULL) continue;
    send_all(fd, answer(request));
    have = 0;
  }
  exit(0);
}

int main (int argc, char **argv) {
  long rows = argc > 1 ? atol(argv[1]) : 1000000;
  long size = argc > 2 ? atol(argv[2]) : 5000;
  struct sockaddr_in a = {.sin_family = AF_INET};
  socklen_t len = sizeof a;
  int listener = socket(AF_INET, SOCK_STREAM, 0);
  char counted[80];
  rate = argc > 3 ? atof(argv[3]) * 1e6 : 0;
  pages = rows / size;
  left = rows % size;
  full = page_of(size);
  rest = page_of(left);
  none = page_of(0);
  task = reply("{\"task\":{\"taskID\":1,\"status\":\"Succeed\",\"progress\":\"1.0\","
               "\"strongerExecId\":\"exec_id018014linkis-cg-entrance127.0.0.1:9104"
               "IDE_hadoop_shell_0\",\"resultLocation\":\"file:///result/1\"}}");
  running = reply("{\"task\":{\"taskID\":2,\"status\":\"Running\",\"progress\":\"0.4\","
                  "\"strongerExecId\":\"exec_id018014linkis-cg-entrance127.0.0.1:9104"
                  "IDE_hadoop_shell_0\",\"logPath\":\"file:///log/2.log\"}}");
  tree = reply("{\"dirFileTrees\":{\"name\":\"1\",\"path\":\"file:///result/1\","
               "\"properties\":null,\"isLeaf\":false,\"parentPath\":null,"
               "\"children\":[{\"name\":\"_0.dolphin\",\"isLeaf\":true,"
               "\"path\":\"file:///result/1/_0.dolphin\",\"children\":null,"
               "\"properties\":{\"size\":\"1\",\"modifytime\":\"1\"}}]}}");
  snprintf(counted, sizeof counted, "{\"rowNumber\":%ld,\"colNumber\":5}", rows);
  info = reply(counted);
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(listener, (struct sockaddr *)&a, sizeof a) != 0 ||
      listen(listener, 16) != 0 ||
      getsockname(listener, (struct sockaddr *)&a, &len) != 0)
    return 1;
  printf("%d %zu\n", ntohs(a.sin_port), full.len);
  fflush(stdout);
  for (;;) {
    struct pollfd watched[2] = {{0, POLLIN, 0}, {listener, POLLIN, 0}};
    if (poll(watched, 2, -1) < 0 || watched[0].revents != 0) return 0;
    int fd = accept(listener, NULL, NULL);
    if (fd >= 0 && fork() == 0) {
      close(listener);
      serve(fd);
    }
    close(fd);
  }
}
