// SPDX-License-Identifier: MIT
/*
 * Theory of operation: one request, one reply. The table at the end says for each type of <xen/io/xs_wire.h> who may
 * use it, whether it runs in a transaction, whether it is answered by "OK", and which function does it. A function
 * takes its arguments from the payload by take_string(), puts what it answers by reply_add(), and returns 0 or the
 * errno of the reply. What it changed is told to the watches when the reply is queued.
 *
 * The errors are those of Xen's xenstored, in its order: unknown type (ENOSYS), no right to the operation (EACCES),
 * unknown transaction (ENOENT), malformed payload (EINVAL), and then what the operation itself finds.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Behind errno.h, for its table of error names. */
#include <xen/io/xs_wire.h>

#include "xen/xenstore/internal.h"
#include "xen/xenstore/ops.h"

#define DOMID_SELF_WIRE 0x7ff0u /* DOMID_SELF of <xen/xen.h> */

struct request {
	struct xs_conn *conn;
	struct xsd_sockmsg header;
	const char *payload;
	size_t len_bytes;
	size_t taken;                 /* of the payload, by take_string() */
	struct xs_view view;
	struct xs_path path;
	struct xs_change change;
	struct xenstore_watch *fresh; /* a new watch, whose first event is due */
	size_t reply_bytes;
	char reply[XENSTORE_PAYLOAD_MAX];
};

/* The next NUL-terminated string of the payload, NULL if there is none. */
static const char *take_string(struct request *req)
{
	const char *string = req->payload + req->taken;
	const char *end = memchr(string, '\0', req->len_bytes - req->taken);

	if (!end)
		return NULL;
	req->taken += (size_t)(end - string) + 1;
	return string;
}

static bool all_taken(const struct request *req)
{
	return req->taken == req->len_bytes;
}

static int resolve_path(struct request *req, const char *raw, bool allow_special)
{
	if (!raw)
		return EINVAL;
	return xs_path_resolve(&req->path, raw, req->conn->domid, &req->conn->store->quota, allow_special);
}

/* The payload is one path and nothing else. */
static int take_only_path(struct request *req, bool allow_special)
{
	const char *raw = take_string(req);

	return all_taken(req) ? resolve_path(req, raw, allow_special) : EINVAL;
}

static int take_domid(struct request *req, unsigned int *domid)
{
	const char *string = take_string(req);

	if (!string || !all_taken(req) || *string == '\0')
		return EINVAL;
	for (*domid = 0; *string; string++) {
		if (*string < '0' || *string > '9')
			return EINVAL;
		*domid = *domid * 10 + (unsigned int)(*string - '0');
		if (*domid > UINT16_MAX)
			return EINVAL;
	}
	return 0;
}

static int reply_add(struct request *req, const void *bytes, size_t len_bytes)
{
	if (len_bytes > sizeof(req->reply) - req->reply_bytes)
		return E2BIG;
	if (len_bytes)
		memcpy(req->reply + req->reply_bytes, bytes, len_bytes);
	req->reply_bytes += len_bytes;
	return 0;
}

static int reply_string(struct request *req, const char *string)
{
	return reply_add(req, string, strlen(string) + 1);
}

/* Nodes */

static int op_directory(struct request *req)
{
	const struct xs_node *node;
	int rc = take_only_path(req, false);

	if (rc == 0)
		rc = xs_op_lookup(&req->view, &req->path, XS_TOUCH_CHILDREN, &node);
	for (unsigned int i = 0; rc == 0 && i < node->n_children; i++)
		rc = reply_string(req, node->children[i]->name);
	return rc;
}

static uint64_t node_generation(const struct xs_node *node)
{
	uint64_t newest = node->value_stamp;

	if (node->perms_stamp > newest)
		newest = node->perms_stamp;
	return node->children_stamp > newest ? node->children_stamp : newest;
}

/* Names from an offset on, as many as fit whole; an empty name says that these were the last. */
static int reply_names_from(struct request *req, const struct xs_node *node, uint64_t offset)
{
	for (unsigned int i = 0; i < node->n_children; i++) {
		const struct xs_node *child = node->children[i];
		size_t size = (size_t)child->name_len_bytes + 1;

		if (offset >= size) {
			offset -= size;
			continue;
		}
		if (size - offset + 1 > sizeof(req->reply) - req->reply_bytes)
			return 0;
		reply_add(req, child->name + offset, size - (size_t)offset);
		offset = 0;
	}
	return reply_add(req, "", 1);
}

static int op_directory_part(struct request *req)
{
	const char *raw = take_string(req), *offset_string = take_string(req);
	const struct xs_node *node;
	char generation[24];
	uint64_t offset;
	char *end;
	int rc;

	if (!offset_string || !all_taken(req) || *offset_string < '0' || *offset_string > '9')
		return EINVAL;
	offset = strtoull(offset_string, &end, 10);
	rc = *end ? EINVAL : resolve_path(req, raw, false);
	if (rc == 0)
		rc = xs_op_lookup(&req->view, &req->path, XS_TOUCH_CHILDREN | XS_TOUCH_VALUE, &node);
	if (rc != 0)
		return rc;
	snprintf(generation, sizeof(generation), "%" PRIu64, node_generation(node));
	reply_string(req, generation);
	return reply_names_from(req, node, offset);
}

static int op_read(struct request *req)
{
	const struct xs_node *node;
	int rc = take_only_path(req, false);

	if (rc == 0)
		rc = xs_op_lookup(&req->view, &req->path, XS_TOUCH_VALUE, &node);
	if (rc != 0 || !node->value)
		return rc;
	return reply_add(req, node->value->bytes, node->value->len_bytes);
}

static int op_write(struct request *req)
{
	int rc = resolve_path(req, take_string(req), false);

	if (rc != 0)
		return rc;
	return xs_op_write(&req->view, &req->path, req->payload + req->taken, req->len_bytes - req->taken,
			   &req->change);
}

static int op_mkdir(struct request *req)
{
	int rc = take_only_path(req, false);

	return rc ? rc : xs_op_mkdir(&req->view, &req->path, &req->change);
}

static int op_rm(struct request *req)
{
	int rc = take_only_path(req, false);

	return rc ? rc : xs_op_remove(&req->view, &req->path, &req->change);
}

static int op_get_perms(struct request *req)
{
	const struct xs_perms *perms;
	int rc = take_only_path(req, true);

	if (rc == 0)
		rc = xs_op_get_perms(&req->view, &req->path, &perms);
	for (unsigned int i = 0; rc == 0 && i < perms->n; i++) {
		char string[XS_PERM_STRING_MAX];

		rc = reply_add(req, string, xs_perm_format(&perms->entry[i], string));
	}
	return rc;
}

static int op_set_perms(struct request *req)
{
	unsigned int max = req->conn->domid ? req->conn->store->quota.permissions : UINT_MAX;
	struct xs_perms *perms;
	int rc = resolve_path(req, take_string(req), true);

	if (rc == 0)
		rc = xs_perms_parse(req->payload + req->taken, req->len_bytes - req->taken, max, &perms);
	if (rc != 0)
		return rc;
	rc = xs_op_set_perms(&req->view, &req->path, perms, &req->change);
	xs_perms_unref(perms);
	return rc;
}

/* Watches */

static int op_watch(struct request *req)
{
	struct xs_conn *conn = req->conn;
	const char *raw = take_string(req), *token = take_string(req);
	struct xenstore_watch *watch;
	int rc = token ? resolve_path(req, raw, true) : EINVAL;

	if (rc != 0)
		return rc;
	if (xs_watch_find(conn->store, conn, &req->path, token))
		return EEXIST;
	if (conn->domid != 0 && conn->n_watches >= conn->store->quota.watches)
		return E2BIG;
	watch = xs_watch_new(conn->store, &req->path, token);
	if (!watch)
		return ENOMEM;
	watch->conn = conn;
	xs_watch_link(watch, &conn->watches);
	conn->n_watches++;
	req->fresh = watch;
	return 0;
}

static int op_unwatch(struct request *req)
{
	struct xs_conn *conn = req->conn;
	const char *raw = take_string(req), *token = take_string(req);
	struct xenstore_watch *watch;
	int rc = token ? resolve_path(req, raw, true) : EINVAL;

	if (rc != 0)
		return rc;
	watch = xs_watch_find(conn->store, conn, &req->path, token);
	if (!watch)
		return ENOENT;
	xs_conn_drop_watch(conn, watch);
	return 0;
}

static int op_reset_watches(struct request *req)
{
	xs_conn_drop_state(req->conn);
	return 0;
}

/* Transactions */

static struct xs_transaction **find_transaction(struct xs_conn *conn, uint32_t id)
{
	struct xs_transaction **at = &conn->transactions;

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return *at ? at : NULL;
}

static int op_transaction_start(struct request *req)
{
	struct xs_conn *conn = req->conn;
	const struct xenstore_quota *quota = &conn->store->quota;
	bool bounded = conn->domid != 0;
	struct xs_transaction *tx;
	char id[16];

	if (req->view.tx)
		return EBUSY;
	if (bounded && conn->n_transactions >= quota->transactions)
		return ENOSPC;
	tx = xs_transaction_new(&conn->store->tree, conn->domid, bounded ? quota->transaction_nodes : UINT_MAX,
				&conn->transaction_bytes, bounded ? quota->transaction_bytes : SIZE_MAX);
	if (!tx)
		return ENOMEM;
	do {
		tx->id = ++conn->last_tx_id;
	} while (tx->id == 0 || find_transaction(conn, tx->id));
	tx->next = conn->transactions;
	conn->transactions = tx;
	conn->n_transactions++;
	snprintf(id, sizeof(id), "%" PRIu32, tx->id);
	return reply_string(req, id);
}

static int op_transaction_end(struct request *req)
{
	struct xs_conn *conn = req->conn;
	const char *verdict = take_string(req);
	struct xs_transaction *tx = req->view.tx;
	int rc = 0;

	if (!verdict || !all_taken(req) || (strcmp(verdict, "T") != 0 && strcmp(verdict, "F") != 0))
		return EINVAL;
	if (!tx)
		return ENOENT;
	*find_transaction(conn, tx->id) = tx->next;
	conn->n_transactions--;
	if (*verdict == 'T' && conn->refuse_commit && conn->refuse_commit(conn->refuse_opaque)) {
		rc = EAGAIN;
	} else if (*verdict == 'T') {
		rc = xs_transaction_commit(tx, &conn->store->tree, conn->store->quota.nodes);
		if (rc == 0) {
			req->change.kind = XS_CHANGE_COMMITTED;
			req->change.tx = tx;
			return 0;
		}
	}
	xs_transaction_free(tx);
	return rc;
}

/* Domains */

static int op_get_domain_path(struct request *req)
{
	char path[32];
	unsigned int domid;
	int rc = take_domid(req, &domid);

	if (rc != 0)
		return rc;
	snprintf(path, sizeof(path), "/local/domain/%u", domid);
	return reply_string(req, path);
}

static int op_is_domain_introduced(struct request *req)
{
	const struct xs_conn *conn = req->conn->store->conns;
	unsigned int domid;
	int rc = take_domid(req, &domid);

	if (rc != 0)
		return rc;
	while (conn && (conn->domid != domid || conn->broken))
		conn = conn->next;
	return reply_string(req, conn || domid == 0 || domid == DOMID_SELF_WIRE ? "T" : "F");
}

/* One process is one domain, and the machine itself introduces it: nobody else does that through the store. */
static int op_not_offered(struct request *req)
{
	(void)req;
	return ENOSYS;
}

#define OP_ACK 1u        /* answered by "OK" */
#define OP_NO_TX 2u      /* tx_id of the request is ignored */
#define OP_PRIVILEGED 4u /* domain 0 only */

static const struct {
	int (*fn)(struct request *req);
	unsigned int flags;
} ops[XS_TYPE_COUNT] = {
	[XS_CONTROL] = { op_not_offered, OP_PRIVILEGED },
	[XS_DIRECTORY] = { op_directory, 0 },
	[XS_READ] = { op_read, 0 },
	[XS_GET_PERMS] = { op_get_perms, 0 },
	[XS_WATCH] = { op_watch, OP_ACK | OP_NO_TX },
	[XS_UNWATCH] = { op_unwatch, OP_ACK | OP_NO_TX },
	[XS_TRANSACTION_START] = { op_transaction_start, 0 },
	[XS_TRANSACTION_END] = { op_transaction_end, OP_ACK },
	[XS_INTRODUCE] = { op_not_offered, OP_NO_TX | OP_PRIVILEGED },
	[XS_RELEASE] = { op_not_offered, OP_NO_TX | OP_PRIVILEGED },
	[XS_GET_DOMAIN_PATH] = { op_get_domain_path, OP_NO_TX },
	[XS_WRITE] = { op_write, OP_ACK },
	[XS_MKDIR] = { op_mkdir, OP_ACK },
	[XS_RM] = { op_rm, OP_ACK },
	[XS_SET_PERMS] = { op_set_perms, OP_ACK },
	[XS_IS_DOMAIN_INTRODUCED] = { op_is_domain_introduced, OP_NO_TX },
	[XS_RESUME] = { op_not_offered, OP_NO_TX | OP_PRIVILEGED },
	[XS_SET_TARGET] = { op_not_offered, OP_NO_TX | OP_PRIVILEGED },
	[XS_RESET_WATCHES] = { op_reset_watches, OP_ACK | OP_NO_TX },
	[XS_DIRECTORY_PART] = { op_directory_part, 0 },
};

static const char *error_name(int errnum)
{
	for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++) {
		if (xsd_errors[i].errnum == errnum)
			return xsd_errors[i].errstring;
	}
	return "EIO";
}

static int run(struct request *req)
{
	struct xs_transaction **tx;
	int rc;

	if (req->header.type >= XS_TYPE_COUNT || !ops[req->header.type].fn)
		return ENOSYS;
	if ((ops[req->header.type].flags & OP_PRIVILEGED) && req->conn->domid != 0)
		return EACCES;
	if (req->header.tx_id != 0 && !(ops[req->header.type].flags & OP_NO_TX)) {
		tx = find_transaction(req->conn, req->header.tx_id);
		if (!tx)
			return ENOENT;
		req->view.tx = *tx;
	}
	rc = ops[req->header.type].fn(req);
	if (rc == 0 && (ops[req->header.type].flags & OP_ACK))
		rc = reply_string(req, "OK");
	return rc;
}

void xs_wire_dispatch(struct xs_conn *conn)
{
	struct request req;
	int rc;

	req.conn = conn;
	memcpy(&req.header, conn->in, sizeof(req.header));
	req.payload = (const char *)conn->in + sizeof(req.header);
	req.len_bytes = req.header.len;
	req.taken = 0;
	req.view = (struct xs_view){ .store = conn->store, .domid = conn->domid };
	req.change = (struct xs_change){ 0 };
	req.fresh = NULL;
	req.reply_bytes = 0;

	rc = run(&req);
	if (rc != 0) {
		conn->counters.errors++;
		req.header.type = XS_ERROR;
		req.reply_bytes = 0;
		reply_string(&req, error_name(rc));
	}
	req.header.len = (uint32_t)req.reply_bytes;
	xs_out_reply(&conn->out, &req.header, req.reply);
	if (req.fresh)
		xs_watch_deliver(conn->store, req.fresh, req.fresh->path);
	xs_change_fire(conn->store, &req.change);
}
