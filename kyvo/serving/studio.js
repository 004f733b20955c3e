// One act of the page at a time, in the order in which they were asked for: what is sent or clicked while the page
// works waits here, and nothing of it is lost. The server's answer to one act begins the next.
(() => {
  const BUTTONS = ["recognise", "undo", "redo", "render"];
  const waiting = []; // acts, first come first
  let works = 0; // acts that have not ended
  let passes = false; // a click that is made here, not by the visitor
  let text = ""; // of the act at work

  function press(id) {
    const element = document.getElementById(id);
    passes = true;
    (element.querySelector("button") ?? element).click();
    passes = false;
  }

  function ask(act) {
    waiting.push(act);
    if (!works) next();
  }

  function next() {
    const act = waiting.shift();
    if (!act) return;
    works += 1;
    setTimeout(act); // later: a button that the keyboard presses takes no click meanwhile
  }

  const field = () => document.querySelector("#text textarea");

  function write(words) {
    // As typing does: the page's own copy of the field follows the event.
    Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, "value").set.call(field(), words);
    field().dispatchEvent(new Event("input", { bubbles: true }));
  }

  function send() {
    const words = field().value;
    write("");
    ask(() => {
      text = words;
      press("say-it");
    });
  }

  function stop(event) {
    event.preventDefault();
    event.stopImmediatePropagation();
  }

  document.addEventListener("click", (event) => {
    if (passes || !(event.target instanceof Element)) return;
    if (event.target.closest("#send")) {
      stop(event);
      send();
      return;
    }
    const id = BUTTONS.find((one) => event.target.closest(`#${one}`));
    if (id) {
      stop(event);
      ask(() => press(id));
    }
  }, true);

  document.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing || event.target !== field()) return;
    stop(event);
    send();
  }, true);

  window.kyvo = {
    text: () => text,
    // An act that begins by itself, as an upload does; the others wait for its end, too.
    begin: () => { works += 1; },
    // `returned` was not taken: it stands in the field again, unless something is there by now.
    end: (returned) => {
      if (returned && !field().value) write(returned);
      works -= 1;
      if (!works) next();
    },
  };
})();
