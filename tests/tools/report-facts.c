// SPDX-License-Identifier: MIT
/*
 * Prints what tests ask of a report as lines, and fails if the file is not one:
 *
 *   report-facts FILE
 *
 *   outcome WORD, status N, restarts N, in order: phase NAME [TEXT or path], count NAME N: exits.KIND, hypercalls (all that
 *   came to dom1), private_kib (the peak)
 *
 * That phases come in the order of their times is checked here.
 */
#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

static json_int_t number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) ? json_integer_value(value) : -1;
}

static const char *text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static bool print_phases(const json_t *phases)
{
	const json_t *phase;
	json_int_t last_ns = 0;
	size_t i;

	json_array_foreach(phases, i, phase) {
		const char *name = text(phase, "phase"), *words = text(phase, "text");

		if (!name || number(phase, "t_ns") < last_ns) {
			fprintf(stderr, "report-facts: phase %zu has no name or goes back in time\n", i);
			return false;
		}
		last_ns = number(phase, "t_ns");
		printf("phase %s%s%s\n", name, words ? " " : "", words ? words : "");
	}
	return true;
}

static void print_counts(json_t *counters, const json_t *memory)
{
	const json_t *value;
	const char *key;
	json_int_t n_hypercalls = 0;

	json_object_foreach(json_object_get(counters, "exits"), key, value)
		printf("count exits.%s %" JSON_INTEGER_FORMAT "\n", key, json_integer_value(value));
	json_object_foreach(json_object_get(counters, "hypercalls"), key, value)
		n_hypercalls += json_integer_value(value);
	printf("count hypercalls %" JSON_INTEGER_FORMAT "\n", n_hypercalls);
	printf("count private_kib %" JSON_INTEGER_FORMAT "\n", number(memory, "peak_private_kib"));
}

int main(int argc, char **argv)
{
	json_error_t error;

	if (argc != 2) {
		fputs("usage: report-facts FILE\n", stderr);
		return 2;
	}
	json_t *report = json_load_file(argv[1], JSON_REJECT_DUPLICATES, &error);
	if (!report) {
		fprintf(stderr, "report-facts: %s: line %d, column %d: %s\n", argv[1], error.line, error.column, error.text);
		return 1;
	}
	const json_t *phases = json_object_get(report, "phases");
	json_t *counters = json_object_get(report, "counters");
	if (number(report, "version") != 1 || !json_is_array(phases) || !json_is_object(counters) ||
	    !json_is_object(json_object_get(report, "memory")) || !json_is_object(json_object_get(report, "machine")) ||
	    !json_is_object(json_object_get(report, "host"))) {
		fputs("report-facts: not a report of version 1\n", stderr);
		return 1;
	}
	printf("outcome %s\n", text(report, "outcome") ? text(report, "outcome") : "");
	printf("status %" JSON_INTEGER_FORMAT "\n", number(report, "status"));
	printf("restarts %" JSON_INTEGER_FORMAT "\n", number(counters, "restarts"));
	bool good = print_phases(phases);
	print_counts(counters, json_object_get(report, "memory"));
	json_decref(report);
	return good ? 0 : 1;
}
