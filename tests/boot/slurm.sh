#!/usr/bin/env bash
# The job array of docs/ci/slurm.sh in a Slurm of one node, which exists for this test only.
# packages: slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge
# long: yes
# limit: 400
# shellcheck source=tests/boot/lib/test.sh
source "$(dirname "$0")/lib/test.sh"
# shellcheck source=tests/boot/lib/shards.sh
source "$(dirname "$0")/lib/shards.sh"

recipe=$(realpath "$(dirname "$0")/../../docs/ci/slurm.sh")

# The packages' files over those of this host, in a mount namespace of this test's own; root's or a user's.
if [[ ! ${DOM1_SLURM-} ]]; then
  as_root=()
  ((EUID == 0)) || as_root=(--map-root-user)
  DOM1_SLURM=1 exec unshare "${as_root[@]}" --mount --net --pid --fork --mount-proc --kill-child "$BASH" "$0"
fi
# What the packages' scripts would do: their programs are alternatives.
mkdir -p "$scratch/alternatives/sbin"
for program in slurmctld slurmd slurmstepd; do
  [[ ! -e $DOM1_PACKAGES/usr/sbin/$program-wlm ]] || ln -s "$program-wlm" "$scratch/alternatives/sbin/$program"
done
mount -t overlay -o "ro,lowerdir=$scratch/alternatives:$DOM1_PACKAGES/usr:/usr" overlay /usr
# Slurm's daemon wants one, whatever its plugins.
grep -q ' /sys/fs/cgroup ' /proc/self/mounts || mount -t cgroup2 cgroup /sys/fs/cgroup
ip link set lo up
# With nothing but 127.0.0.1 the C library takes IPv4 for absent.
ip address add 10.77.2.1/32 dev lo

cluster=$scratch/cluster
mkdir -p "$cluster"/{state,spool}
host=$(hostname)
cat >"$cluster/slurm.conf" <<END
ClusterName=one
SlurmctldHost=$host(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$cluster/munge.socket
StateSaveLocation=$cluster/state
SlurmdSpoolDir=$cluster/spool
SlurmctldPidFile=$cluster/slurmctld.pid
SlurmdPidFile=$cluster/slurmd.pid
SlurmctldLogFile=$out/slurmctld.log
SlurmdLogFile=$out/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
ReturnToService=2
MessageTimeout=60
NodeName=$host NodeAddr=127.0.0.1 CPUs=4 RealMemory=8192 State=UNKNOWN
PartitionName=all Nodes=$host Default=YES MaxTime=30 State=UP
END
export SLURM_CONF=$cluster/slurm.conf
# There is no systemd to ask for a scope, nor for the slice that it would be in.
mkdir -p /sys/fs/cgroup/system.slice
echo IgnoreSystemd=yes >"$cluster/cgroup.conf"

# start_daemon NAME OPTION...: in the foreground of this namespace, whose end is theirs.
start_daemon() {
  "$@" >"$out/$1.out" 2>&1 &
}

head -c 1024 /dev/urandom >"$cluster/munge.key"
chmod 600 "$cluster/munge.key"
start_daemon munged --foreground --force --key-file "$cluster/munge.key" --socket "$cluster/munge.socket" \
  --pid-file "$cluster/munge.pid" --seed-file "$cluster/munge.seed" --log-file "$out/munge.log"
start_daemon slurmctld -D
start_daemon slurmd -D
for ((i = 0; ; i++)); do
  ((i < 120)) || fail "the node is not idle: $(tail -n 3 "$out/slurmd.log" "$out/slurmctld.log" 2>&1)"
  [[ $(timeout 5 sinfo --noheader --format %T 2>/dev/null) != idle ]] || break
  sleep 1
done

mkdir "$scratch/work"
cd "$scratch/work"
make_guests guests
next_run
printf '%q ' sbatch --wait --array=0-2 "$recipe" guests results >"$run/command"
status=0
sbatch --wait --array=0-2 "$recipe" guests results >"$run/console" 2>"$run/stderr" || status=$?
cp -- *.log "$out/" || fail "sbatch: $(cat "$run/stderr")"
# The worst task's: one guest crashes.
expect_status 34
expect_partition guests results/*/junit.xml
status=0
dom1 report --merge --output junit.xml results/*/junit.xml || status=$?
[[ $status == 1 ]] || fail "the merge: status $status"
expect_results junit.xml
cp junit.xml "$out/"
[[ $(compgen -G 'results/*/junit.xml' | wc -l) == 3 ]] || fail "not three shards"

# A task that never came.
rm -r results/1
status=0
dom1 report --merge results/*/junit.xml >"$run/merged" 2>"$run/stderr" || status=$?
expect_status 4
expect "$run/stderr" "dom1: report: shards are missing: 2 of 3: .*"
