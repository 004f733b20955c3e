import numpy as np
import pytest

from kyvo.api import Kyvo
from kyvo.devices import choose_device
from kyvo.errors import CheckpointError, ConfigError, TokenError
from kyvo.scene.scene import Scene, SceneObject
from kyvo.testing import tiny_kyvo
from kyvo.tokenizers.tasks import TASKS, Segments

CUBE = SceneObject(size="large", color="red", material="metal", shape="cube", location=(0.0, 0.0, 0.7))
SCENE = Scene(objects=(CUBE,))
PICTURES = [np.full((40, 60, 3), value, dtype=np.uint8) for value in (0, 120, 255)]


@pytest.fixture(scope="module")
def model() -> Kyvo:
    return tiny_kyvo()


def test_recognition_gives_a_scene_with_confidences_for_each_picture(model):
    scenes = model.recognize(PICTURES)
    assert len(scenes) == 3 and all(scene.schema == "clevr" for scene in scenes)
    assert all(0 <= item.confidence <= 1 for scene in scenes for item in scene.objects)


def test_rendering_gives_a_picture_of_the_tokenizers_size_for_each_scene(model):
    pictures = model.render([SCENE, Scene(objects=())])
    assert [(picture.shape, picture.dtype) for picture in pictures] == [((16, 24, 3), np.uint8)] * 2


def test_a_model_folder_comes_back_the_same(model, tmp_path):
    model.model.save_pretrained(tmp_path)
    model.processor.save(tmp_path)
    again = Kyvo.from_pretrained(tmp_path, device="cpu")
    assert again.recognize(PICTURES) == model.recognize(PICTURES)
    (tmp_path / "schema.json").unlink()
    with pytest.raises(CheckpointError, match=r"schema\.json: cannot be read"):
        Kyvo.from_pretrained(tmp_path)


def test_a_vocabulary_of_another_model_is_refused(model, tmp_path):
    from kyvo.testing import tiny_llama

    tiny_llama(len(model.processor.vocabulary) + 1).save_pretrained(tmp_path)
    model.processor.save(tmp_path)
    with pytest.raises(CheckpointError, match="the folder mixes two models"):
        Kyvo.from_pretrained(tmp_path)


def test_unknown_names_say_what_is_known(model):
    with pytest.raises(CheckpointError, match=r"neither a folder with a config\.json nor a bundled model"):
        Kyvo.from_pretrained("maxi")
    with pytest.raises(ConfigError, match="known are rendering, recognition, editing, question_answering"):
        model.complete("dreaming", [])
    with pytest.raises(ConfigError, match="known are auto, cpu and cuda"):
        choose_device("tpu")
    with pytest.raises(TokenError, match="the input of rendering is scene; text was given"):
        model.complete("rendering", [Segments(text="yes")])


def test_a_submitted_task_streams_its_text_and_gives_the_completion(model):
    given = Segments(image=model.encode_images(PICTURES[:1])[0], scene=SCENE, text="What is it?")
    pending = model.language_model.submit("question_answering", given)
    pieces = list(pending.texts())
    done = pending.result()
    assert "".join(pieces) == done.text == model.complete("question_answering", [given])[0].text
    assert done.num_prompt > 6 and done.num_output > len(pieces)


def test_settings_reach_the_engine(model):
    from kyvo.generation.sampling import Sampling

    given = [Segments(scene=SCENE)] * 2
    hot = {"image": Sampling(temperature=2.0, seed=1)}
    one, same = model.complete("rendering", given, sampling=hot)
    assert (one.image == same.image).all()
    assert (one.image != model.complete("rendering", given[:1])[0].image).any()
    cut = model.complete("rendering", given[:1], max_tokens=3)[0]
    assert (cut.image, cut.reason, cut.truncated) == (None, "max_tokens", True)
    codes = Segments(image=model.encode_images(PICTURES[:1])[0])
    assert len(model.complete("recognition", [codes], max_objects=1)[0].scene) <= 1
    with pytest.raises(ConfigError, match="sampling names picture; what comes out is image, scene, text"):
        model.complete("rendering", given, sampling={"picture": Sampling()})
    with pytest.raises(ConfigError, match="max_objects is 0"):
        model.complete("recognition", [codes], max_objects=0)


def test_confidences_are_those_of_the_folders_calibration(model, tmp_path):
    model.model.save_pretrained(tmp_path)
    model.processor.save(tmp_path)
    (tmp_path / "calibration.json").write_text('{"scale": 1e-6, "shift": 0.0}')  # all are as likely right as wrong
    noise = np.random.default_rng(0).integers(0, 255, (8, 16, 24, 3), dtype=np.uint8)
    found = Kyvo.from_pretrained(tmp_path, device="cpu").recognize(list(noise))
    sure = [item.confidence for scene in found for item in scene.objects]
    assert sure and sure == pytest.approx([0.5] * len(sure), abs=1e-4)


def test_what_does_not_fit_beside_the_input_is_an_error():
    model = tiny_kyvo()
    prompt = model.processor.builder.prompt(TASKS["rendering"], Segments(scene=SCENE))
    model.model.config.max_position_embeddings = len(prompt) + 4  # a picture has 8 ids
    with pytest.raises(ConfigError, match="the picture does not fit"):
        model.render([SCENE])
