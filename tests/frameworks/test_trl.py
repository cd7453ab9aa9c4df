"""trl packs its data when the trainer is made: how many steps an epoch has is known only then."""

import warnings

import pytest

import layerlr_dsl as layerlr
from layerlr_dsl.training.errors import ScheduleWarning

trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")
transformers = pytest.importorskip("transformers")
tokenizers = pytest.importorskip("tokenizers")
ours = pytest.importorskip("layerlr_dsl.training.transformers")

RULES = "schedule linear\n** -> lr 1e-3\nfreeze model.embed_tokens until epoch 1"


def tokenizer():
    words = tokenizers.models.WordLevel({"<unk>": 0, "a": 1, "</s>": 2, "<pad>": 3}, unk_token="<unk>")
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(words),
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
    )


@pytest.mark.parametrize("reports", [True, False], ids=["with the callback", "without"])
def test_packed_rows_are_followed(tmp_path, reports):
    """64 rows of 6 tokens become 16 of 24: 4 steps an epoch and not 16. Without the callback the first step says so."""
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=40, **sizes))
    rows = datasets.Dataset.from_list([{"input_ids": [1, 2, 3, 4, 5, 6]} for _ in range(64)])
    args = trl.SFTConfig(
        str(tmp_path),
        num_train_epochs=2,
        per_device_train_batch_size=4,
        packing=True,
        packing_strategy="wrapped",
        max_length=24,
        use_cpu=True,
        bf16=False,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
    )
    pair = ours.optimizers(layerlr.parse(RULES), model, args, rows)
    seen = []

    class Notes(transformers.TrainerCallback):
        def on_step_begin(self, args, state, control, **kwargs):
            seen.append((pair[0].param_groups[0]["lr"], model.model.embed_tokens.weight.requires_grad))

    trainer = trl.SFTTrainer(
        model,
        args=args,
        train_dataset=rows,
        processing_class=tokenizer(),
        optimizers=pair,
        callbacks=[Notes(), *([ours.ReportMetrics()] if reports else [])],
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        trainer.train()
    told = [str(w.message) for w in caught if issubclass(w.category, ScheduleWarning)]
    assert seen == [(pytest.approx(1e-3 * (1 - k / 8)), k >= 4) for k in range(8)]
    assert len(told) == (not reports)
    assert all("takes 4" in text for text in told)
