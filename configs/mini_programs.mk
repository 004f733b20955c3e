# The bundled model trained on with programs, cameras and turns: `make model-programs`. Every step is skipped when what it
# makes is there, and a step that was stopped is gone on with. Two cores make the sets in some two hours; the training then
# takes the minutes that configs/train/mini_programs.yaml gives it.
BIN ?= .venv/bin
DATA ?= data/mini_programs
RUNS ?= runs
WORKERS ?= 1
SIZE := --size 120x80
MODEL := kyvo/assets/mini
TRAIN ?=
export OMP_NUM_THREADS ?= 1

# Rows of each set.
LANGUAGE ?= 60000
CLEVR ?= 20000
UNMOVED ?= 10000
ANY ?= 8000
EDITS ?= 40000
EDITS_PICTURES ?= 3000
QUESTIONS ?= 16000
QUESTIONS_PICTURES ?= 3000
HELD_OUT ?= 256

SETS := clevr_codes unmoved_codes any_codes edits_shared edits_codes questions questions_codes held_out_codes \
  held_out_language language
CARDS := $(foreach set,$(SETS),$(DATA)/$(set)/card.json)
FOLDERS := $(foreach set,language clevr_codes unmoved_codes any_codes edits_shared edits_codes questions questions_codes,$(DATA)/$(set))
empty :=
space := $(empty) $(empty)
comma := ,
LIST = [$(subst $(space),$(comma),$(strip $(1)))]

MAKE_SET = $(BIN)/kyvo data $(1) --out $(@D) --workers $(WORKERS)

.PHONY: model-programs data-programs
model-programs: $(RUNS)/mini_programs/done
data-programs: $(CARDS) $(RUNS)/mini_programs_processor/sequence.json

$(DATA)/language/card.json:
	$(call MAKE_SET,language --count $(LANGUAGE) --seed 41000001 --schema clevr-view)
$(DATA)/held_out_language/card.json:
	$(call MAKE_SET,language --count $(HELD_OUT) --seed 42000001 --schema clevr-view)
$(DATA)/clevr/card.json:
	$(call MAKE_SET,clevr --count $(CLEVR) --seed 43000001 $(SIZE))
$(DATA)/unmoved/card.json:
	$(call MAKE_SET,clevr --count $(UNMOVED) --seed 44000001 --camera-jitter 0 $(SIZE))
$(DATA)/any/card.json:
	$(call MAKE_SET,clevr --count $(ANY) --seed 45000001 --min-objects 0 $(SIZE))
$(DATA)/held_out/card.json:
	$(call MAKE_SET,clevr --count $(HELD_OUT) --seed 46000001 $(SIZE))
$(DATA)/edits_pictures/card.json:
	$(call MAKE_SET,edits --count $(EDITS_PICTURES) --seed 47000001 $(SIZE))
$(DATA)/questions_pictures/card.json:
	$(call MAKE_SET,questions --count $(QUESTIONS_PICTURES) --seed 48000001 $(SIZE))
$(DATA)/edits_shared/card.json:
	$(call MAKE_SET,edits --no-pictures --each 4 --count $(EDITS) --seed 49000001 $(SIZE))
$(DATA)/questions/card.json:
	$(call MAKE_SET,questions --no-pictures --count $(QUESTIONS) --seed 50000001 $(SIZE))

ENCODE = rm -rf $(@D); $(BIN)/python tokenizers/encode.py --image-tokenizer $(MODEL) --data $(<D) --out $(@D)
$(DATA)/any_codes/card.json: $(DATA)/any/card.json
	$(ENCODE) --augment 0
$(DATA)/edits_codes/card.json $(DATA)/questions_codes/card.json: $(DATA)/%_codes/card.json: $(DATA)/%_pictures/card.json
	$(ENCODE)
$(DATA)/clevr_codes/card.json $(DATA)/unmoved_codes/card.json $(DATA)/held_out_codes/card.json: $(DATA)/%_codes/card.json: $(DATA)/%/card.json
	$(ENCODE)

$(RUNS)/mini_programs_processor/sequence.json:
	$(BIN)/python tokenizers/build_processor.py --schema clevr-view --programs --text $(MODEL)/tokenizer.model \
	  --image-tokenizer $(MODEL) --refiner $(MODEL) --two-way image --out $(@D)

$(RUNS)/mini_programs/done: $(CARDS) $(RUNS)/mini_programs_processor/sequence.json
	$(BIN)/python recipes/finetune.py --config configs/train/mini_programs.yaml output_dir=$(@D) \
	  processor=$(RUNS)/mini_programs_processor data.folders=$(call LIST,$(FOLDERS)) \
	  eval_data.folders=$(call LIST,$(DATA)/held_out_language $(DATA)/held_out_codes) \
	  train.resume=$(if $(wildcard $(@D)/latest),true,false) $(TRAIN)
	touch $@
