/*
** read_pages.c: the peer of a saved result: reads the same bytes with libcurl on
** one connection and writes them to a file. Arguments: URL in front of the page
** number, pages, rows a page, file. Prints seconds and bytes.
*/
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static size_t write_bytes (char *p, size_t size, size_t n, void *file) {
  return fwrite(p, size, n, (FILE *)file);
}

static double now (void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main (int argc, char **argv) {
  CURL *curl = curl_easy_init();
  FILE *file = argc == 5 ? fopen(argv[4], "wb") : NULL;
  long page, pages = argc == 5 ? atol(argv[2]) : 0;
  double start = now(), total = 0;
  char url[1024];
  if (curl == NULL || file == NULL) return 1;
  setvbuf(file, NULL, _IOFBF, 65536);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, write_bytes);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, file);
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 524288L);
  for (page = 1; page <= pages; page++) {
    curl_off_t bytes = 0;
    snprintf(url, sizeof url, "%s%ld&pageSize=%s&nullValue=LINKIS_NULL",
             argv[1], page, argv[3]);
    curl_easy_setopt(curl, CURLOPT_URL, url);
    if (curl_easy_perform(curl) != CURLE_OK) return 1;
    curl_easy_getinfo(curl, CURLINFO_SIZE_DOWNLOAD_T, &bytes);
    total += (double)bytes;
  }
  fflush(file);
  fsync(fileno(file));
  fclose(file);
  printf("%.3f %.0f\n", now() - start, total);
  curl_easy_cleanup(curl);
  return 0;
}
