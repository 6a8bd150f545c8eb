#!/usr/bin/env bash
# The runs that a change which is to preserve behaviour must leave as they are:
#
#     bash benchmarks/same_runs.sh BEFORE/bin/rlcont before; bash benchmarks/same_runs.sh AFTER/bin/rlcont after
#     python benchmarks/same_runs.py before after
RLCONT=$1; OUT=$2; mkdir -p "$OUT"
export OMP_NUM_THREADS=1
S="env=HalfCheetah-v4 tuned=none algo.warmup_steps=300 algo.batch_size=64 algo.replay_size=2000 eval.every=600 eval.episodes=2 log.every=200 checkpoint.every=500 algo.actor.hidden=[64,64] algo.critic.hidden=[64,64] total_steps=1500 device=cpu"
A="algo=a2c env=HalfCheetah-v4 tuned=none num_envs=4 workers=1 eval.every=2048 eval.episodes=2 log.every=512 checkpoint.every=1024 total_steps=4096 device=cpu"
P="${A/a2c/ppo} algo.rollout_steps=64 algo.num_minibatches=4 algo.num_epochs=3"
r() { name=$1; shift; [ -e "$OUT/$name/ok" ] && return; rm -rf "$OUT/$name"; "$RLCONT" "$@" output="$OUT/$name" > "$OUT/$name.log" 2>&1 && touch "$OUT/$name/ok" || echo "$name FAILED"; }
go() { name=$1; shift; f=$(ls -d "$OUT/$name"/*/*/2* | head -1); [ -e "$OUT/$name/ok2" ] && return; "$RLCONT" resume "$f" "$@" >> "$OUT/$name.log" 2>&1 && touch "$OUT/$name/ok2" || echo "$name resume FAILED"; }
r ddpg $S
r ddpg-n3-norm $S algo.n_step=3 algo.normalize_obs=true algo.normalize_reward=true noise=ou num_envs=2
r ddpg-per $S algo.replay=prioritized algo.max_grad_norm=1
r d4pg $S algo=d4pg
r d4pg-per-norm $S algo=d4pg algo.replay=prioritized algo.normalize_obs=true algo.n_step=3
r d4pg-n1 $S algo=d4pg algo.n_step=1 noise=none
for p in gaussian bounded_gaussian squashed beta; do r a2c-$p $A algo.policy=$p; done
r a2c-adam-entropy $A algo.optimizer=adam algo.entropy_coef=0.01 algo.shared_trunk=true
r ddpg-compiled $S compile=true algo.normalize_obs=true
r d4pg-compiled $S algo=d4pg algo.replay=prioritized compile=true
r a2c-compiled $A compile=true
for p in squashed beta bounded_gaussian; do r a2c-$p-compiled $A algo.policy=$p algo.entropy_coef=0.01 compile=true; done
r a2c-squashed-entropy $A algo.policy=squashed algo.entropy_coef=0.01
r d4pg-n1-compiled $S algo=d4pg algo.n_step=1 algo.normalize_obs=true compile=true
r ray $S actors=ray actors.num=1 actors.sync=true
r ddpg-resumed $S algo.normalize_obs=true noise=ou
go ddpg-resumed total_steps=2500
r d4pg-resumed $S algo=d4pg algo.replay=prioritized
go d4pg-resumed total_steps=2500
r td3 $S algo=td3
r td3-compiled $S algo=td3 compile=true
r td3-resumed $S algo=td3 algo.normalize_obs=true
go td3-resumed total_steps=2500
r sac $S algo=sac
r sac-compiled $S algo=sac compile=true
r a2c-resumed $A
r ppo $P
r ppo-squashed-stopped $P algo.policy=squashed algo.entropy_coef=0.01 algo.target_kl=0.01
r ppo-compiled $P compile=true
go a2c-resumed total_steps=8192
echo done
