"""What the daemons and sudo of the tests' cluster read."""

REFUSED = "projectless"
SLURM_CONF = """\
ClusterName=beamhub
SlurmctldHost={host}({gateway})
SlurmctldPort={port}
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
MpiDefault=none
ProctrackType=proctrack/{tracking}
TaskPlugin=task/{limiting}
FirstJobId={first_job}
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SchedulerParameters=bf_interval=2,bf_window=10080,sched_interval=2,batch_sched_delay=0
PriorityType=priority/multifactor
PreemptType=preempt/partition_prio
PreemptMode=CANCEL
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd_port}
AccountingStoragePass={folder}/munge/socket
AccountingStorageEnforce=associations,limits,qos
AccountingStorageTRES=gres/gpu,gres/gpu:fast
GresTypes=gpu
JobSubmitPlugins=lua
KillWait=5
MinJobAge=60
MessageTimeout=10
SlurmdTimeout=10
TreeWidth=50
{nodes}
PartitionName=interactive Nodes=ALL Default=YES MaxTime=1-00:00:00 State=UP
PartitionName=urgent Nodes=ALL PriorityTier=9 MaxTime=1-00:00:00 State=UP
"""
CGROUP_CONF = """\
IgnoreSystemd=yes
CgroupAutomount=no
CgroupMountpoint=/sys/fs/cgroup
ConstrainRAMSpace=yes
"""
JOB_SUBMIT = f"""\
function slurm_job_submit(job, partitions, uid)
    slurm.log_user("*** Maintenance on Monday ***")
    if job.features == "{REFUSED}" then
        slurm.log_user("Your project has no hours left: write to hours@example.org")
        return slurm.ERROR
    end
    return slurm.SUCCESS
end
function slurm_job_modify(job, record, partitions, uid)
    return slurm.SUCCESS
end
"""
OTHER_CLOCK = """\
mount -t overlay -o lowerdir={own}/etc:/etc none /etc
mount --bind {own}/munge {folder}/munge
cd {folder}/munge
munged --force --key-file=$PWD/key --pid-file=$PWD/pid --seed-file=$PWD/seed \\
    --log-file=$PWD/log --socket=$PWD/socket
exec "$@"
"""
NODE = (
    "NodeName={name} NodeAddr={address} NodeHostname={host} Port={port} CPUs={cpus} "
    "RealMemory={mb} Gres=gpu:fast:1"
)
SUDOERS = """\
Defaults env_keep += SLURM_CONF
{hub} ALL=(%{group}) NOPASSWD: {sbatch} --parsable, {sbatch} --test-only, {scancel} ^[0-9]+$
"""
DBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={dbd_port}
SlurmUser=root
LogFile={folder}/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={db_port}
StorageUser=slurm
StoragePass={password}
"""
