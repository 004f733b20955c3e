// What the studio's pages of jobs share: the status line, a job from its start to its files, and cancelling it.
const $ = (id) => document.getElementById(id);
let job = null; // at work
let shown = 0; // counts jobs, so that an earlier one's answers are not shown

function say(words, fault = false) {
  $("status").textContent = words;
  $("status").classList.toggle("fault", fault);
}

function base64(file) {
  return new Promise((done, fail) => {
    const reader = new FileReader();
    reader.onload = () => done(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => fail(new Error(`${file.name} cannot be read.`));
    reader.readAsDataURL(file);
  });
}

async function ask(path, options) {
  const answer = await fetch(path, options);
  if (answer.ok) return answer;
  const body = await answer.json().catch(() => null);
  throw new Error(body?.error?.message ?? `The server answered ${answer.status}.`);
}

function linkTo(file, names) { // a download; `names` by the file's ending
  const link = document.createElement("a");
  link.href = file.path;
  link.textContent = names[file.name.slice(file.name.indexOf("."))];
  link.download = file.name;
  return link;
}

function working(on) {
  $("make").disabled = on;
  $("cancel").disabled = !on;
  $("progress").hidden = !on;
  if (on) $("progress").removeAttribute("value");
}

function tell(status) {
  const step = status.progress;
  if (status.status === "waiting") return say("Waiting for its turn ...");
  if (!step) return say("Begins ...");
  $("progress").value = step.step / step.num_steps;
  const left = step.step === step.num_steps ? "" : `, about ${Math.max(1, Math.round(step.seconds_left))} s left`;
  say(`Makes the ${step.stage}: step ${step.step} of ${step.num_steps}${left}.`);
}

const remove = (stopped) => ask(stopped.path, { method: "DELETE" }).catch(() => null);

// The form begins a job of what `body` says, [path, request]; `show` gets the status of a job that is done.
function serve({ body, show }) {
  async function make() {
    const number = ++shown;
    working(true);
    say("Sends ...");
    try {
      const [path, asked] = await body();
      const options = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(asked) };
      job = await (await ask(path, options)).json();
      if (number !== shown) await remove(job); // it was cancelled while it was sent
      while (number === shown && ["waiting", "running"].includes(job.status)) {
        tell(job);
        await new Promise((done) => setTimeout(done, 300));
        job = await (await ask(job.path)).json();
      }
      if (number !== shown) return;
      if (job.status !== "done") throw new Error(job.error);
      await show(job);
    } catch (error) {
      if (number === shown) say(error.message, true);
    } finally {
      if (number === shown) { working(false); job = null; }
    }
  }

  $("form").addEventListener("submit", (event) => { event.preventDefault(); make(); });
  $("cancel").addEventListener("click", async () => {
    const stopped = job;
    shown += 1;
    job = null;
    working(false);
    say("Cancelled.");
    if (stopped) await remove(stopped);
  });
}
