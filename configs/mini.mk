# The bundled model from nothing: `make model`. Every step is skipped when what it makes is there, and a step that was stopped is
# gone on with, so it can be killed and started again. About six hours on two cores.
BIN := .venv/bin
DATA := data/mini
RUNS := runs
SIZE := --size 120x80
COMMA := ,
MAKE_SET = $(BIN)/kyvo data $(1) --out $(@D) --workers 2
ENCODE = rm -rf $(@D); $(BIN)/python tokenizers/encode.py --image-tokenizer $(RUNS)/image_mini_decoder --bf16 --out $(@D)
OMP_NUM_THREADS ?= 2
export OMP_NUM_THREADS

SEEN := clevr clevr_more clevr_augmented clevr_augmented_more easy edits questions
CODED := $(foreach set,$(SEEN),$(DATA)/$(set)_codes/card.json)
PLAIN := $(foreach set,edits_shared questions questions_simple,$(DATA)/$(set)/card.json)

model: $(RUNS)/mini/done
	@echo "The newest model: $(RUNS)/mini/$$(cat $(RUNS)/mini/latest)/model"

$(DATA)/clevr/card.json:
	$(call MAKE_SET,clevr --count 28000 --seed 11000001 $(SIZE))
$(DATA)/clevr_more/card.json:
	$(call MAKE_SET,clevr --count 28000 --seed 21000001 $(SIZE))
$(DATA)/clevr_augmented/card.json:
	$(call MAKE_SET,clevr --count 14000 --seed 12000001 $(SIZE))
$(DATA)/clevr_augmented_more/card.json:
	$(call MAKE_SET,clevr --count 14000 --seed 22000001 $(SIZE))
$(DATA)/any/card.json:
	$(call MAKE_SET,clevr --count 6000 --seed 13000001 $(SIZE) --min-objects 0)
$(DATA)/easy/card.json:
	$(call MAKE_SET,clevr --count 5000 --seed 14100001 $(SIZE) --min-objects 1 --max-objects 3)
$(DATA)/edits_pictures/card.json:
	$(call MAKE_SET,edits --count 1500 --seed 15100001 $(SIZE))
$(DATA)/questions_pictures/card.json:
	$(call MAKE_SET,questions --count 2500 --seed 16100001 $(SIZE))
$(DATA)/edits_shared/card.json:
	$(call MAKE_SET,edits --no-pictures --each 4 --count 80000 --seed 19100001 $(SIZE))
$(DATA)/questions/card.json:
	$(call MAKE_SET,questions --no-pictures --count 12000 --seed 18100001 $(SIZE))
$(DATA)/questions_simple/card.json:
	$(call MAKE_SET,questions --no-pictures --families zero_hop$(COMMA)one_hop --count 12000 --seed 23000001 $(SIZE))

# Trained on scenes of three objects and more, then its decoder alone on any number.
TRAIN_IMAGE = $(BIN)/python tokenizers/train_image.py --out $(@D) $(if $(wildcard $(@D)/training.pt),--resume)
$(RUNS)/image_mini/image_tokenizer.json: $(DATA)/clevr/card.json configs/tokenizers/image_mini.yaml
	$(TRAIN_IMAGE) --config configs/tokenizers/image_mini.yaml --data $(DATA)/clevr --minutes 60
TOKENIZER := $(RUNS)/image_mini_decoder/image_tokenizer.json
$(TOKENIZER): $(RUNS)/image_mini/image_tokenizer.json $(DATA)/any/card.json configs/tokenizers/image_mini_decoder.yaml
	$(TRAIN_IMAGE) --config configs/tokenizers/image_mini_decoder.yaml --data $(DATA)/any --init $(RUNS)/image_mini

$(foreach set,clevr clevr_more easy,$(DATA)/$(set)_codes/card.json): $(DATA)/%_codes/card.json: $(DATA)/%/card.json $(TOKENIZER)
	$(ENCODE) --data $(<D)
$(DATA)/edits_codes/card.json $(DATA)/questions_codes/card.json: $(DATA)/%_codes/card.json: $(DATA)/%_pictures/card.json $(TOKENIZER)
	$(ENCODE) --data $(<D)
$(DATA)/clevr_augmented_codes/card.json: $(DATA)/clevr_augmented/card.json $(TOKENIZER)
	$(ENCODE) --data $(<D) --augment 0
$(DATA)/clevr_augmented_more_codes/card.json: $(DATA)/clevr_augmented_more/card.json $(TOKENIZER)
	$(ENCODE) --data $(<D) --augment 1

$(RUNS)/mini_processor/sequence.json: $(TOKENIZER)
	$(BIN)/python tokenizers/build_processor.py --schema clevr --text kyvo/assets/mini/tokenizer.model \
	  --image-tokenizer $(<D) --vocabulary mini --two-way image --out $(@D)

$(RUNS)/mini/done: $(RUNS)/mini_processor/sequence.json $(CODED) $(PLAIN)
	$(BIN)/python recipes/finetune.py --config configs/train/mini.yaml output_dir=$(@D) \
	  train.resume=$(if $(wildcard $(@D)/latest),true,false)
	touch $@
