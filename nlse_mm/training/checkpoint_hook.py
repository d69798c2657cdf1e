"""Save checkpoints without a moment at which a kill costs the training."""

from pathlib import Path
from typing import Any

from mmengine import hooks
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from nlse_mm.arguments import checked
from nlse_mm.checkpoint.loading.atomic_backend import BACKEND, TEMPORARY, AtomicBackend
from nlse_mm.registry import HOOKS


@HOOKS.register_module()
@checked
class CheckpointHook(hooks.CheckpointHook):
    """Save as MMEngine's hook does, but delete only what a complete file replaces.

    The order is: write the new checkpoint completely, name it in ``last_checkpoint``,
    delete the outdated one. The arguments are those of MMEngine's hook.

    MMEngine's deletes first and then writes in place, so that a training that is killed
    while it saves, with ``max_keep_ckpts=1``, is left with half a checkpoint. Here the
    disk needs room for one more. Applies to local folders; a remote ``out_dir`` or
    ``backend_args`` of one's own are left to MMEngine.

    Example::

        default_hooks = dict(
            checkpoint=dict(type='nlse_mm.CheckpointHook', interval=1,
                            max_keep_ckpts=1))
    """

    backend_args: dict[str, Any] | None

    def before_train(self, runner: Runner) -> None:
        """Prepare the folder, and clear away what a killed training left over."""
        own_backend = self.backend_args or self.file_client_args
        if not own_backend and "://" not in str(self.out_dir or runner.work_dir):
            self.backend_args = dict(backend=BACKEND)
        super().before_train(runner)
        if self._is_atomic and is_main_process():
            for folder in {self.out_dir, runner.work_dir}:
                for leftover in Path(folder).glob(f"*{TEMPORARY}"):
                    leftover.unlink()

    @property
    def _is_atomic(self) -> bool:
        return isinstance(self.file_backend, AtomicBackend)

    def _save_checkpoint_with_step(
        self, runner: Runner, step: int, meta: dict[str, Any]
    ) -> None:
        if not self._is_atomic:
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        self._keep(runner, step)
        name = self.filename_tmpl.format(step)
        self.last_ckpt = self.file_backend.join_path(self.out_dir, name)
        runner.message_hub.update_info("last_ckpt", self.last_ckpt)
        runner.save_checkpoint(
            self.out_dir,
            name,
            save_optimizer=self.save_optimizer,
            save_param_scheduler=self.save_param_scheduler,
            meta=meta,
            by_epoch=self.by_epoch,
            backend_args=self.backend_args,
            **self.args,
        )
        if is_main_process():
            note = self.file_backend.join_path(runner.work_dir, "last_checkpoint")
            self.file_backend.put_text(self.last_ckpt, note)
            self.file_backend.remove_outdated()

    def _keep(self, runner: Runner, step: int) -> None:
        """Note ``step`` among the kept ones, and the oldest as outdated."""
        if self.max_keep_ckpts <= 0 or step in self.keep_ckpt_ids:
            return
        if len(self.keep_ckpt_ids) == self.max_keep_ckpts:
            oldest = self.filename_tmpl.format(self.keep_ckpt_ids.popleft())
            path = self.file_backend.join_path(self.out_dir, oldest)
            if is_main_process() and self.file_backend.isfile(path):
                self.file_backend.remove(path)
        self.keep_ckpt_ids.append(step)
        runner.message_hub.update_info("keep_ckpt_ids", list(self.keep_ckpt_ids))

    def _save_best_checkpoint(self, runner: Runner, metrics: dict[str, Any]) -> None:
        super()._save_best_checkpoint(runner, metrics)
        if self._is_atomic and is_main_process():
            self.file_backend.remove_outdated()
