# The bundled model from nothing: `make model`. Every step is skipped when what it makes is there, and a step that was stopped is
# gone on with, so it can be killed and started again. `make -j3 model DEVICE=cuda` traces, codes and trains on a GPU: some
# twenty minutes with sixteen cores beside an H200, and some fifteen for the refiner and the decoder's practice, which
# have not been trained on one yet. Two cores alone see as many samples in a week.
DEVICE ?= cpu
BIN ?= .venv/bin
DATA := data/mini
RUNS := runs
SIZE := --size 120x80
OMP_NUM_THREADS ?= 2
export OMP_NUM_THREADS

# What a device changes of the configs: how much at a time, and by how many processes.
ifeq ($(DEVICE),cuda)
  WORKERS ?= 7
  ALL_WORKERS ?= 16
  IMAGE_MINUTES ?= 5
  MODEL_MINUTES ?= 8.86
  IMAGE_ON := train.device=cuda train.compile=true train.batch_size=64 train.workers=$(ALL_WORKERS) train.report_every=400
  MODEL_ON := train.device=cuda train.batch_size=128 train.gradient_accumulation=3 train.prefetch=14 \
    train.warmup_steps=200 train.decay_steps=1500 train.save_every=1000 train.on_nan=skip \
    train.max_minutes=$(MODEL_MINUTES)
  ENCODE_ON := --device cuda --workers $(WORKERS) --batch-size 512
  REFINER_MINUTES ?= 5
  REFINER_ON := train.device=cuda train.batch_size=192 train.workers=$(ALL_WORKERS)
  DECODER_MINUTES ?= 2
else
  WORKERS ?= 2
  ALL_WORKERS ?= 2
  IMAGE_MINUTES ?= 180
  IMAGE_ON :=
  MODEL_ON :=
  ENCODE_ON := --bf16
  REFINER_MINUTES ?= 80
  REFINER_ON := train.workers=1
  DECODER_MINUTES ?= 75
endif

# Rows of each set.
ANY ?= 80000
CLEVR ?= 92000
EDITS ?= 320000
EDITS_PICTURES ?= 8000
QUESTIONS ?= 47000
QUESTIONS_PICTURES ?= 8000
LARGE ?= 7000
WRITTEN ?= 3072

MAKE_SET = $(BIN)/kyvo data $(1) --out $(@D) --workers $(or $(2),$(WORKERS))
ENCODE = rm -rf $(@D); $(BIN)/python tokenizers/encode.py --image-tokenizer $(RUNS)/image_mini $(ENCODE_ON) --out $(@D)
CODED := $(foreach set,any clevr edits questions,$(DATA)/$(set)_codes/card.json)
PLAIN := $(foreach set,edits_shared questions,$(DATA)/$(set)/card.json)

NEWEST = $(RUNS)/mini/$$(cat $(RUNS)/mini/latest)/model
HEADS := $(foreach network,refiner,$(RUNS)/$(network)/$(network).safetensors)
DECODER := $(RUNS)/image_mini_decoder/image_tokenizer.json
model: $(RUNS)/mini/done $(HEADS) $(DECODER)
	cp $(HEADS) $(DECODER) $(DECODER:.json=.safetensors) $(NEWEST)
	@echo "The newest model: $(NEWEST)"

# The image tokenizer waits for this one, so all else waits for it too. Only this one is traced on a GPU, which trains afterwards.
$(DATA)/any/card.json:
	$(call MAKE_SET,clevr --count $(ANY) --seed 31000001 $(SIZE) --device $(DEVICE) --min-objects 0,$(ALL_WORKERS))
$(DATA)/large/card.json: | $(DATA)/any/card.json
	$(call MAKE_SET,clevr --count $(LARGE) --seed 51000001 --size 240x160)
$(DATA)/clevr/card.json: | $(DATA)/any/card.json
	$(call MAKE_SET,clevr --count $(CLEVR) --seed 32000001 $(SIZE))
$(DATA)/edits_pictures/card.json: | $(DATA)/any/card.json
	$(call MAKE_SET,edits --count $(EDITS_PICTURES) --seed 34000001 $(SIZE))
$(DATA)/questions_pictures/card.json: | $(DATA)/any/card.json
	$(call MAKE_SET,questions --count $(QUESTIONS_PICTURES) --seed 35000001 $(SIZE))
$(DATA)/edits_shared/card.json: | $(DATA)/any/card.json
	$(call MAKE_SET,edits --no-pictures --each 4 --count $(EDITS) --seed 36000001 $(SIZE))
$(DATA)/questions/card.json: | $(DATA)/any/card.json
	$(call MAKE_SET,questions --no-pictures --count $(QUESTIONS) --seed 37000001 $(SIZE))

TOKENIZER := $(RUNS)/image_mini/image_tokenizer.json
$(TOKENIZER): $(DATA)/any/card.json configs/tokenizers/image_mini.yaml
	$(BIN)/python tokenizers/train_image.py --config configs/tokenizers/image_mini.yaml --data $(DATA)/any --out $(@D) \
	  --minutes $(IMAGE_MINUTES) $(if $(wildcard $(@D)/training.pt),--resume) $(IMAGE_ON)

$(DATA)/clevr_codes/card.json: $(DATA)/clevr/card.json $(TOKENIZER)
	$(ENCODE) --data $(<D)
$(DATA)/any_codes/card.json: $(DATA)/any/card.json $(TOKENIZER)
	$(ENCODE) --data $(<D) --augment 0
$(DATA)/edits_codes/card.json $(DATA)/questions_codes/card.json: $(DATA)/%_codes/card.json: $(DATA)/%_pictures/card.json $(TOKENIZER)
	$(ENCODE) --data $(<D)

$(RUNS)/mini_processor/sequence.json: $(TOKENIZER)
	$(BIN)/python tokenizers/build_processor.py --schema clevr --text kyvo/assets/mini/tokenizer.model \
	  --image-tokenizer $(<D) --vocabulary mini --two-way image --out $(@D)

# After the language model's training, which wants the whole device.
$(RUNS)/refiner/refiner.safetensors: configs/refiner.yaml $(DATA)/any/card.json $(DATA)/clevr/card.json | $(RUNS)/mini/done
	$(BIN)/python recipes/refiner.py --config $< --data $(DATA)/any $(DATA)/clevr --out $(@D) \
	  --minutes $(REFINER_MINUTES) $(if $(wildcard $(@D)/training.pt),--resume) --set train.report_every=400 $(REFINER_ON)

# The decoder learns to draw larger pictures, and practises on what the model writes; codes keep their meaning.
$(DATA)/written/state.json: $(DATA)/clevr/card.json $(RUNS)/mini/done
	rm -rf $(@D); $(BIN)/python tokenizers/encode_written.py --model $(NEWEST) --data $(<D) --limit $(WRITTEN) --upscale 2 --turns \
	  --out $(@D) --device $(DEVICE)
$(DECODER): configs/tokenizers/image_mini_decoder.yaml $(DATA)/written/state.json $(DATA)/large/card.json
	$(BIN)/python tokenizers/train_image.py --config $< --data $(DATA)/large --written $(DATA)/written --out $(@D) \
	  --minutes $(DECODER_MINUTES) $(if $(wildcard $(@D)/training.pt),--resume,--init $(RUNS)/image_mini) $(IMAGE_ON)

.PHONY: model data
data: $(RUNS)/mini_processor/sequence.json $(CODED) $(PLAIN)

$(RUNS)/mini/done: $(RUNS)/mini_processor/sequence.json $(CODED) $(PLAIN)
	$(BIN)/python recipes/finetune.py --config configs/train/mini.yaml output_dir=$(@D) \
	  train.resume=$(if $(wildcard $(@D)/latest),true,false) $(MODEL_ON)
	touch $@
