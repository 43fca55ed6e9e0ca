#!/bin/bash
# inside.sh PROGRAMS FOLDER: the first process of a cluster's own network, mounts and processes. When
# it ends, everything does, containers too. FOLDER/settings holds what each program reads.
set -u
programs=$1 folder=$2
settings=$folder/settings keys=$folder/keys run=$folder/run log=$folder/log
export PATH=$programs/bin:$programs/cni:/usr/sbin:/usr/bin:/sbin:/bin

mount --make-rprivate /
mount -t proc proc /proc
for place in /run /var/log /var/lib/cni /var/lib/kubelet /etc/cni /opt/cni /usr/libexec/kubernetes; do
    mkdir -p "$place"
    mount -t tmpfs -o mode=755 tmpfs "$place"
done
mkdir -p /run/lock /run/containerd /run/sysctl
# What kubelet would write into the whole machine's settings.
for setting in vm/overcommit_memory=1 vm/panic_on_oom=0 kernel/panic=10 kernel/panic_on_oops=1 \
    kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    file=/run/sysctl/$(echo "${setting%=*}" | tr / _)
    echo "${setting#*=}" >"$file"
    mount --bind "$file" "/proc/sys/${setting%=*}"
done
mount --make-rshared /

ip link set lo up
until ip link show k8s0 >/dev/null 2>&1; do sleep 0.1; done
ip addr add 10.89.0.2/30 dev k8s0
ip link set k8s0 up
ip route add default via 10.89.0.1
echo 1 >/proc/sys/net/ipv4/ip_forward
# Control groups of version 1: kubelet makes its own below these.
for controller in /sys/fs/cgroup/*/; do
    [ -e "$controller/cgroup.procs" ] && mkdir -p "$controller/beamhub-kubernetes"
done
for file in cpuset.cpus cpuset.mems; do
    cat "/sys/fs/cgroup/cpuset/$file" >"/sys/fs/cgroup/cpuset/beamhub-kubernetes/$file"
done

containerd -c "$settings/containerd.toml" >"$log/containerd" 2>&1 &
# In memory: nothing has to outlive it, and a slow disk would slow all.
etcd --data-dir /run/etcd --log-level warn --logger zap \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 >"$log/etcd" 2>&1 &
# In a loop: a test may end it, as an upgrade does.
while :; do
    kube-apiserver --etcd-servers http://127.0.0.1:2379 --bind-address 0.0.0.0 \
        --advertise-address 10.89.0.2 --secure-port 6443 --service-cluster-ip-range 10.89.128.0/24 \
        --tls-cert-file "$keys/api.crt" --tls-private-key-file "$keys/api.key" \
        --client-ca-file "$keys/ca.crt" --kubelet-client-certificate "$keys/admin.crt" \
        --kubelet-client-key "$keys/admin.key" --kubelet-preferred-address-types InternalIP \
        --service-account-issuer https://kubernetes.default.svc \
        --service-account-key-file "$keys/accounts.pub" \
        --service-account-signing-key-file "$keys/accounts.key" \
        --authorization-mode Node,RBAC --allow-privileged --cert-dir "$run" >>"$log/apiserver" 2>&1 &
    echo $! >"$run/apiserver.pid"
    wait $!
    while [ -e "$folder/no-apiserver" ]; do sleep 0.2; done
done &
until kubectl --kubeconfig "$settings/admin" get --raw /readyz >/dev/null 2>&1; do sleep 0.5; done
kube-controller-manager --kubeconfig "$settings/admin" --leader-elect=false --cert-dir "$run" \
    --service-account-private-key-file "$keys/accounts.key" --root-ca-file "$keys/ca.crt" \
    --pvclaimbinder-sync-period=1s --bind-address 127.0.0.1 >"$log/controller-manager" 2>&1 &
kube-scheduler --kubeconfig "$settings/admin" --leader-elect=false --cert-dir "$run" \
    >"$log/scheduler" 2>&1 &
kubelet --container-runtime remote --config "$settings/kubelet.yaml" --kubeconfig "$settings/admin" \
    --container-runtime-endpoint unix:///run/containerd/containerd.sock \
    --hostname-override node-1 --node-ip 10.89.0.2 --root-dir "$run/kubelet" \
    --cert-dir "$run/kubelet-keys" >"$log/kubelet" 2>&1 &
kube-proxy --config "$settings/kube-proxy.yaml" >"$log/kube-proxy" 2>&1 &
wait
