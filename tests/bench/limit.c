/* The broker's limit as a C client sees it (librabbitmq): what it can publish with confirms, and consume with acks.
 *
 *   limit publish HOST PORT VHOST QUEUE COUNT BYTES WINDOW
 *   limit consume HOST PORT VHOST QUEUE COUNT WINDOW
 *
 * Publishes persistent, mandatory messages with at most WINDOW unconfirmed, or consumes with WINDOW as prefetch and one
 * multiple ack for each half of it. Prints the seconds from the first publish or delivery to the last confirm or ack.
 */
#include <amqp.h>
#include <amqp_tcp_socket.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void need(int good, const char *what) {
  if (good) return;
  fprintf(stderr, "limit: %s failed\n", what);
  exit(1);
}

static amqp_connection_state_t open_channel(char **argv) {
  amqp_connection_state_t c = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(c);
  need(socket && amqp_socket_open(socket, argv[2], atoi(argv[3])) == 0, "connect");
  amqp_rpc_reply_t r = amqp_login(c, argv[4], 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest");
  need(r.reply_type == AMQP_RESPONSE_NORMAL, "login");
  need(amqp_channel_open(c, 1) != NULL, "channel");
  return c;
}

/* Reads frames until one more confirm came; returns the tag up to which all are confirmed (RabbitMQ confirms a quorum
 * queue's publishes in order, so the tag of a single confirm counts like that of a multiple one here). */
static unsigned long long confirmed(amqp_connection_state_t c) {
  amqp_frame_t frame;
  for (;;) {
    amqp_maybe_release_buffers(c);
    need(amqp_simple_wait_frame(c, &frame) == AMQP_STATUS_OK, "wait for a confirm");
    if (frame.frame_type != AMQP_FRAME_METHOD) continue;
    need(frame.payload.method.id != AMQP_BASIC_RETURN_METHOD, "routing");
    need(frame.payload.method.id != AMQP_BASIC_NACK_METHOD, "storing");
    if (frame.payload.method.id == AMQP_BASIC_ACK_METHOD)
      return ((amqp_basic_ack_t *)frame.payload.method.decoded)->delivery_tag;
  }
}

static double publish(amqp_connection_state_t c, char **argv) {
  unsigned long long count = strtoull(argv[6], NULL, 10), size = strtoull(argv[7], NULL, 10);
  unsigned long long window = strtoull(argv[8], NULL, 10), acked = 0;
  amqp_basic_properties_t p;
  memset(&p, 0, sizeof p);
  p._flags = AMQP_BASIC_DELIVERY_MODE_FLAG;
  p.delivery_mode = 2;
  char *body = malloc(size);
  need(body != NULL, "malloc");
  memset(body, 'x', size);
  amqp_bytes_t bytes = {size, body};
  need(amqp_confirm_select(c, 1) != NULL, "confirms");
  double began = now();
  for (unsigned long long sent = 1; sent <= count; sent++) {
    snprintf(body, size, "%020llu", sent);
    need(amqp_basic_publish(c, 1, amqp_empty_bytes, amqp_cstring_bytes(argv[5]), 1, 0, &p, bytes) == 0, "publish");
    while (sent - acked >= window) acked = confirmed(c);
  }
  while (acked < count) acked = confirmed(c);
  return now() - began;
}

static double consume(amqp_connection_state_t c, char **argv) {
  unsigned long long count = strtoull(argv[6], NULL, 10), window = strtoull(argv[7], NULL, 10), half = window / 2;
  need(amqp_basic_qos(c, 1, 0, (uint16_t)window, 0) != NULL, "qos");
  need(amqp_basic_consume(c, 1, amqp_cstring_bytes(argv[5]), amqp_empty_bytes, 0, 0, 0, amqp_empty_table) != NULL,
       "consume");
  double began = 0;
  for (unsigned long long got = 1; got <= count; got++) {
    amqp_envelope_t e;
    amqp_maybe_release_buffers(c);
    need(amqp_consume_message(c, &e, NULL, 0).reply_type == AMQP_RESPONSE_NORMAL, "delivery");
    if (got == 1) began = now();
    if (got % half == 0 || got == count) need(amqp_basic_ack(c, 1, e.delivery_tag, 1) == 0, "ack");
    amqp_destroy_envelope(&e);
  }
  return now() - began;
}

int main(int argc, char **argv) {
  need(argc == 8 || argc == 9, "reading the arguments");
  amqp_connection_state_t c = open_channel(argv);
  printf("%.6f\n", strcmp(argv[1], "publish") == 0 ? publish(c, argv) : consume(c, argv));
  amqp_channel_close(c, 1, AMQP_REPLY_SUCCESS);
  amqp_connection_close(c, AMQP_REPLY_SUCCESS);
  amqp_destroy_connection(c);
  return 0;
}
