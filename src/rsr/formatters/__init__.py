"""Formatters by name: each says what a prompt still needs and writes its rows."""

from rsr.registry import Registry

FORMATTERS = Registry(
    "formatter",
    {
        "sft": "rsr.formatters.sft:SFT",
        "dpo": "rsr.formatters.dpo:DPO",
        "multi_sft": "rsr.formatters.multi_sft:MultiSFT",
        "kto": "rsr.formatters.kto:KTO",
        "reward_pairs": "rsr.formatters.reward_pairs:RewardPairs",
        "rl_prompts": "rsr.formatters.rl_prompts:RLPrompts",
    },
)
