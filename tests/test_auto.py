import numpy as np
import pytest
from transformers import AutoProcessor, LlamaConfig

from kyvo.auto import KyvoProcessor
from kyvo.errors import TokenError
from kyvo.models.llama.fold import llama_config
from kyvo.models.llama.presets import SIZES
from kyvo.scene.files import scene_to_json
from kyvo.scene.scene import Scene, SceneObject
from kyvo.testing import tiny_processor
from kyvo.tokenizers.tasks import TASKS, Segments

CUBE = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
SCENE = Scene(objects=(CUBE,))
PIXELS = np.full((16, 24, 3), 120, dtype=np.uint8)


@pytest.fixture(scope="module")
def processor(tmp_path_factory):
    """Loaded by AutoProcessor from a folder with the `config.json` that folding writes."""
    folder = tmp_path_factory.mktemp("folded")
    tiny_processor().save(folder)
    size = SIZES["kyvo_tiny"]()
    LlamaConfig.from_dict(llama_config(size=size, vocab_size=1, bos_id=1, eos_id=2, pad_id=3)).save_pretrained(folder)
    found = AutoProcessor.from_pretrained(folder)
    assert isinstance(found, KyvoProcessor)
    return found


def message(**parts):
    return {"role": "user", "content": [{"type": name, name: value} for name, value in parts.items()]}


def test_messages_become_the_prompts_of_their_tasks_padded_on_the_left(processor):
    builder, pad = processor.builder, processor.text.pad_id
    codes = processor.image.encode([PIXELS])[0]
    done = processor.apply_chat_template([[message(image=PIXELS)], [message(scene=scene_to_json(SCENE))]])
    expected = [
        builder.prompt(TASKS["recognition"], Segments(image=codes)),
        builder.prompt(TASKS["rendering"], Segments(scene=SCENE)),
    ]
    short = len(expected[1]) - len(expected[0])
    assert done["input_ids"].tolist() == [[pad] * short + expected[0], expected[1]]
    assert done["attention_mask"].tolist() == [[0] * short + [1] * len(expected[0]), [1] * len(expected[1])]
    whole = message(text="What is it?", scene=SCENE, image=PIXELS)  # the task's order, not the message's
    asked = processor.apply_chat_template([whole], task="question_answering")["input_ids"].tolist()
    given = Segments(image=codes, scene=SCENE, text="What is it?")
    assert asked == [builder.prompt(TASKS["question_answering"], given)]


def test_what_comes_out_is_parsed_without_its_padding(processor):
    builder = processor.builder
    ids = builder.build(TASKS["recognition"], Segments(image=np.zeros(6)), Segments(scene=SCENE)).ids
    start = ids.tolist().index(builder.vocabulary.marker_id("[SCENE-START]"))
    padded = [*ids[start:].tolist(), processor.text.pad_id, processor.text.pad_id]
    assert processor.parse([padded], task="recognition") == [Segments(scene=builder.scenes.snap(SCENE))]


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ({"text": "Hello"}, "text fits no task; name one of rendering"),
        ({"image": PIXELS, "scene": SCENE, "text": "Hello"}, "image, scene, text fits editing and question_answering"),
        ({"sound": 1}, "a message has the parts sound; it may have one of each of image, scene, text"),
    ],
)
def test_parts_that_name_no_task_are_refused(processor, content, error):
    with pytest.raises(TokenError, match=error):
        processor.apply_chat_template([message(**content)])
