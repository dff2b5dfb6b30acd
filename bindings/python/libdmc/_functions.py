"""_functions.py — every public function of libdmc: what it returns, then what it takes.

tests/python/test_declarations.py compares this list with the headers.
"""

from __future__ import annotations

from ctypes import POINTER, c_char_p, c_double, c_float, c_int32, c_int64, c_size_t, c_uint8
from ctypes import c_uint64, c_void_p
from typing import Any

from . import _records as rec
from ._array import BYTES, DOUBLES, FLOATS

STATUS = INT = c_int32
SIZE = c_size_t
U64 = c_uint64
I64 = c_int64
TEXT = c_char_p
HANDLE = OPTIONS = c_void_p
OUT = POINTER(c_void_p)  # receives a new handle
INTS = POINTER(c_int32)
NEED = POINTER(c_size_t)
TEXTS = POINTER(c_char_p)
ROWS = POINTER(POINTER(c_float))  # receives a borrowed float *
FRAMES = POINTER(POINTER(c_uint8))  # receives a borrowed uint8_t *

FUNCTIONS: dict[str, tuple[Any, ...]] = {
    # version.h, status.h
    "dmc_version": (TEXT,),
    "dmc_status_string": (TEXT, STATUS),
    "dmc_last_error": (TEXT,),
    # options.h
    "dmc_options_size": (SIZE, INT),
    "dmc_options_init": (STATUS, INT, OPTIONS),
    "dmc_options_set": (STATUS, INT, OPTIONS, TEXT, TEXT),
    "dmc_options_get": (STATUS, INT, OPTIONS, TEXT, TEXT, SIZE),
    "dmc_options_describe": (STATUS, INT, INT, POINTER(rec.OptionInfo)),
    "dmc_options_check": (STATUS, INT, OPTIONS),
    "dmc_config_load": (STATUS, TEXT, TEXTS, SIZE, OUT),
    "dmc_config_destroy": (None, HANDLE),
    "dmc_config_apply": (STATUS, HANDLE, TEXT, INT, OPTIONS),
    "dmc_config_apply_with": (STATUS, HANDLE, TEXT, TEXTS, INT, OPTIONS),
    "dmc_config_get": (TEXT, HANDLE, TEXT, TEXT),
    "dmc_config_sections": (STATUS, HANDLE, TEXTS),
    # context.h
    "dmc_context_options_init": (STATUS, OPTIONS, SIZE),
    "dmc_context_create": (STATUS, OPTIONS, OUT),
    "dmc_context_destroy": (None, HANDLE),
    "dmc_context_device": (TEXT, HANDLE),
    # dataset.h
    "dmc_dataset_options_init": (STATUS, OPTIONS, SIZE),
    "dmc_dataset_open": (STATUS, HANDLE, TEXT, OPTIONS, OUT),
    "dmc_dataset_create": (STATUS, HANDLE, SIZE, INT, INT, *3 * [FLOATS], *2 * [BYTES], OPTIONS, OUT),
    "dmc_dataset_save": (STATUS, HANDLE, TEXT),
    "dmc_dataset_destroy": (None, HANDLE),
    "dmc_dataset_get_info": (STATUS, HANDLE, POINTER(rec.DatasetInfo)),
    "dmc_dataset_episode": (STATUS, HANDLE, INT, ROWS, ROWS, ROWS, INTS),
    "dmc_dataset_is_held_out": (STATUS, HANDLE, INT, INTS),
    "dmc_dataset_add_images": (STATUS, HANDLE, TEXT, INT, INT, INT, BYTES, SIZE),
    "dmc_dataset_cameras": (STATUS, HANDLE, *4 * [INTS]),
    "dmc_dataset_camera": (TEXT, HANDLE, INT),
    "dmc_dataset_frames": (STATUS, HANDLE, INT, TEXT, FRAMES),
    # model.h
    "dmc_model_options_init": (STATUS, OPTIONS, SIZE),
    "dmc_model_create": (STATUS, HANDLE, HANDLE, OPTIONS, OUT),
    "dmc_model_load": (STATUS, HANDLE, TEXT, OUT),
    "dmc_model_save": (STATUS, HANDLE, TEXT),
    "dmc_model_clone": (STATUS, HANDLE, OUT),
    "dmc_model_destroy": (None, HANDLE),
    "dmc_model_memory": (SIZE, HANDLE),
    "dmc_model_describe": (STATUS, HANDLE, TEXT, SIZE, NEED),
    "dmc_model_sizes": (STATUS, HANDLE, INTS, INTS, INTS, INTS, INTS),
    "dmc_model_parameters": (U64, HANDLE),
    "dmc_model_forward": (STATUS, HANDLE, INT, FLOATS, FLOATS, FLOATS, FLOATS),
    "dmc_model_tensor_count": (INT, HANDLE),
    "dmc_model_tensor_name": (TEXT, HANDLE, INT),
    "dmc_model_tensor_shape": (STATUS, HANDLE, TEXT, INTS, INTS),
    "dmc_model_tensor_sizes": (STATUS, HANDLE, TEXT, INTS, INTS),
    "dmc_model_cameras": (STATUS, HANDLE, *4 * [INTS]),
    "dmc_model_camera": (TEXT, HANDLE, INT),
    "dmc_model_get_tensor": (STATUS, HANDLE, TEXT, FLOATS, SIZE),
    "dmc_model_set_tensor": (STATUS, HANDLE, TEXT, FLOATS, SIZE),
    # likelihood.h
    "dmc_likelihood_options_init": (STATUS, OPTIONS, SIZE),
    "dmc_likelihood": (STATUS, HANDLE, OPTIONS, SIZE, FLOATS, FLOATS, DOUBLES),
    # trainer.h
    "dmc_train_options_init": (STATUS, OPTIONS, SIZE),
    "dmc_trainer_create": (STATUS, HANDLE, HANDLE, HANDLE, OPTIONS, OUT),
    "dmc_trainer_destroy": (None, HANDLE),
    "dmc_trainer_step": (STATUS, HANDLE, INT, POINTER(rec.TrainMetrics)),
    "dmc_trainer_evaluate": (STATUS, HANDLE, DOUBLES),
    "dmc_trainer_publish": (STATUS, HANDLE, OUT),
    "dmc_trainer_save": (STATUS, HANDLE, TEXT),
    "dmc_trainer_resume": (STATUS, HANDLE, TEXT),
    # critic.h
    "dmc_critic_options_init": (STATUS, OPTIONS, SIZE),
    "dmc_critic_create": (STATUS, HANDLE, HANDLE, OPTIONS, OUT),
    "dmc_critic_destroy": (None, HANDLE),
    "dmc_critic_step": (STATUS, HANDLE, INT, POINTER(rec.CriticMetrics)),
    "dmc_critic_q": (STATUS, HANDLE, SIZE, FLOATS, FLOATS, FLOATS, FLOATS),
    "dmc_critic_v": (STATUS, HANDLE, SIZE, FLOATS, FLOATS),
    "dmc_critic_action_gradient": (STATUS, HANDLE, SIZE, FLOATS, FLOATS, FLOATS),
    "dmc_critic_save": (STATUS, HANDLE, TEXT),
    "dmc_critic_load": (STATUS, HANDLE, TEXT, HANDLE, OUT),
    "dmc_critic_describe": (STATUS, HANDLE, TEXT, SIZE, NEED),
    # sampler.h
    "dmc_sampler_options_init": (STATUS, OPTIONS, SIZE),
    "dmc_sampler_create": (STATUS, HANDLE, HANDLE, HANDLE, OPTIONS, OUT),
    "dmc_sampler_create_with": (STATUS, HANDLE, HANDLE, POINTER(rec.SamplerParts), OPTIONS, OUT),
    "dmc_sampler_size": (STATUS, HANDLE, POINTER(rec.SamplerParts), OPTIONS, NEED),
    "dmc_sampler_create_in": (
        *(STATUS, HANDLE, POINTER(rec.SamplerParts), OPTIONS),
        *(c_void_p, SIZE, OUT),
    ),
    "dmc_sampler_destroy": (None, HANDLE),
    "dmc_sampler_prefault": (STATUS, HANDLE),
    "dmc_sampler_set_image": (STATUS, HANDLE, TEXT, BYTES, SIZE),
    "dmc_sampler_set_known": (STATUS, HANDLE, BYTES, FLOATS, SIZE),
    "dmc_sampler_sample": (STATUS, HANDLE, FLOATS, SIZE, FLOATS, SIZE),
    "dmc_clock_now": (I64,),
    "dmc_sampler_sample_until": (STATUS, HANDLE, FLOATS, SIZE, I64, FLOATS, SIZE),
    "dmc_sampler_begin": (STATUS, HANDLE, FLOATS, SIZE),
    "dmc_sampler_step": (STATUS, HANDLE, INTS),
    "dmc_sampler_finish": (STATUS, HANDLE, FLOATS, SIZE),
    "dmc_sampler_get_info": (STATUS, HANDLE, POINTER(rec.SamplerInfo)),
    "dmc_sampler_plan": (STATUS, HANDLE, INT, FLOATS, SIZE),
    "dmc_sampler_candidates": (STATUS, HANDLE, FLOATS, SIZE),
    "dmc_sampler_reset": (STATUS, HANDLE, U64),
    "dmc_sampler_rebind": (STATUS, HANDLE, HANDLE),
    "dmc_sampler_memory": (SIZE, HANDLE),
    # aligner.h
    "dmc_align_options_init": (STATUS, OPTIONS, SIZE),
    "dmc_rl_options_init": (STATUS, OPTIONS, SIZE),
    "dmc_dpo_options_init": (STATUS, OPTIONS, SIZE),
    "dmc_sft_options_init": (STATUS, OPTIONS, SIZE),
    "dmc_cascade_options_init": (STATUS, OPTIONS, SIZE),
    "dmc_sequence_options_init": (STATUS, OPTIONS, SIZE),
    "dmc_aligner_create": (STATUS, HANDLE, HANDLE, HANDLE, HANDLE, OPTIONS, OUT),
    "dmc_aligner_destroy": (None, HANDLE),
    "dmc_aligner_set_reward": (STATUS, HANDLE, rec.REWARD_FN, c_void_p, INT),
    "dmc_aligner_set_score": (STATUS, HANDLE, rec.SCORE_FN, c_void_p),
    "dmc_aligner_set_coherency": (STATUS, HANDLE, rec.REWARD_FN, c_void_p),
    "dmc_aligner_set_scores": (STATUS, HANDLE, rec.SCORES_FN, c_void_p, INT),
    "dmc_aligner_set_ledger": (STATUS, HANDLE, TEXT),
    "dmc_aligner_set_progress": (STATUS, HANDLE, rec.PROGRESS_FN, c_void_p),
    "dmc_align_rl": (STATUS, HANDLE, OPTIONS, POINTER(rec.AlignReport)),
    "dmc_align_dpo": (STATUS, HANDLE, OPTIONS, POINTER(rec.AlignReport)),
    "dmc_align_sft": (STATUS, HANDLE, OPTIONS, POINTER(rec.AlignReport)),
    "dmc_align_cascade": (STATUS, HANDLE, OPTIONS, POINTER(rec.AlignReport)),
    "dmc_align_sequence": (STATUS, HANDLE, *5 * [OPTIONS], POINTER(rec.AlignReport)),
    "dmc_aligner_reset": (STATUS, HANDLE),
    "dmc_aligner_publish": (STATUS, HANDLE, OUT),
    "dmc_aligner_checkpoint": (STATUS, HANDLE, TEXT),
    "dmc_aligner_resume": (STATUS, HANDLE, TEXT),
    "dmc_aligner_save": (STATUS, HANDLE, TEXT),
    "dmc_aligner_load": (STATUS, HANDLE, TEXT),
    "dmc_aligner_set_judge": (STATUS, HANDLE, HANDLE),
    "dmc_aligner_set_pairs": (STATUS, HANDLE, rec.PAIRS_FN, c_void_p),
    "dmc_aligner_set_inverse": (STATUS, HANDLE, HANDLE),
    # env.h
    "dmc_evaluate": (STATUS, HANDLE, POINTER(rec.Env), INT, INT, U64, U64, DOUBLES),
    "dmc_collect": (STATUS, HANDLE, POINTER(rec.Env), HANDLE, INT, INT, U64, U64, DOUBLES),
    # online.h
    "dmc_online_options_init": (STATUS, OPTIONS, SIZE),
    "dmc_align_online": (
        *(STATUS, HANDLE, HANDLE, POINTER(rec.Env), HANDLE),
        *(*4 * [OPTIONS], POINTER(rec.OnlineReport)),
    ),
    # synth.h
    "dmc_synth_options_init": (STATUS, OPTIONS, SIZE),
    "dmc_synth_create": (STATUS, HANDLE, HANDLE, OPTIONS, OUT),
    "dmc_synth_destroy": (None, HANDLE),
    "dmc_synth_step": (STATUS, HANDLE, INT, POINTER(rec.TrainMetrics)),
    "dmc_synth_sample": (STATUS, HANDLE, SIZE, U64, HANDLE),
    # replay.h
    "dmc_replay_create": (STATUS, HANDLE, INT, INT, SIZE, OUT),
    "dmc_replay_destroy": (None, HANDLE),
    "dmc_replay_push": (STATUS, HANDLE, SIZE, *4 * [FLOATS], BYTES),
    "dmc_replay_push_episode": (STATUS, HANDLE, SIZE, *3 * [FLOATS], INT),
    "dmc_replay_count": (SIZE, HANDLE),
    "dmc_replay_read": (STATUS, HANDLE, SIZE, SIZE, *4 * [FLOATS], BYTES),
    "dmc_replay_draw": (STATUS, HANDLE, U64, SIZE, *4 * [FLOATS], BYTES),
    "dmc_critic_step_on": (STATUS, HANDLE, HANDLE, c_double, INT, POINTER(rec.CriticMetrics)),
}
