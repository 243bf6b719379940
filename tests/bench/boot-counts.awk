# SPDX-License-Identifier: MIT
# Counts what a VMM's trace (boot-watch --event) has, as lines "COUNT<tab>TABLE<tab>KIND<tab>DETAIL".
# Tables: exits (from the guest to KVM, by reason), emulations (by the reason of the exit before), returns (of KVM_RUN
# to user space, by reason), hypercalls. DETAIL: the MSR, port, page or hypercall; "" is all of a KIND.

function add(table, kind, detail) {
	count[table "\t" kind "\t" detail]++
}

# The word after WORD.
function after(word,   i) {
	for (i = 1; i < NF; i++)
		if ($i == word)
			return $(i + 1)
	return ""
}

function page(address) {
	return length(address) > 5 ? substr(address, 1, length(address) - 3) "000" : address
}

# An exit is told first; its MSR, port or page follows.
function detailed(task, detail) {
	if (reason[task] != "" && last[task] == "") {
		add("exits", reason[task], detail)
		last[task] = detail
	}
}

/^#.*entries-written/ {
	split($3, entries, "/")
	if (entries[1] != entries[2])
		lost = 1
}

/^#/ || !match($0, /-[0-9]+ +\[[0-9]+\]/) { next }

{ task = substr($0, 1, RSTART) substr($0, RSTART + 1, index(substr($0, RSTART), " ") - 2) }

/: kvm_exit: / {
	reason[task] = after("reason")
	last[task] = ""
	add("exits", reason[task], "")
	next
}

/: kvm_msr: / {
	for (i = 1; i < NF; i++)
		if ($i == "kvm_msr:")
			detailed(task, "msr " $(i + 2))
	next
}

/: kvm_pio: / {
	detailed(task, "port " substr(after("at"), 3))
	io[task] = "port " substr(after("at"), 3)
	next
}

/: kvm_mmio: / && !/unsatisfied/ {
	io[task] = "page " page(substr(after("gpa"), 3))
	detailed(task, io[task])
	next
}

/: kvm_xen_hypercall: / {
	io[task] = "hypercall " substr(after("nr"), 3)
	detailed(task, io[task])
	add("hypercalls", io[task], "")
	next
}

/: kvm_emulate_insn: / {
	add("emulations", reason[task], "")
	if (last[task] != "")
		add("emulations", reason[task], last[task])
	next
}

/: kvm_userspace_exit: / {
	kind = after("reason")
	add("returns", kind, "")
	if (kind == "KVM_EXIT_IO" || kind == "KVM_EXIT_MMIO" || kind == "0x22" || kind == "KVM_EXIT_XEN")
		add("returns", kind, io[task])
}

END {
	if (lost) {
		print "boot-counts: the tracing buffer was too small" >"/dev/stderr"
		exit 1
	}
	for (key in count)
		print count[key] "\t" key
}
