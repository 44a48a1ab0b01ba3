// A picture that is dropped on the form, but not on one of its fields, gives back its input.
const target = (event) => event.dataTransfer?.types.includes("Files") && !event.target.closest?.("[data-file]") && event.target.closest?.("form[data-play]");
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  document.addEventListener(name, (event) => {
    const form = target(event);
    if (!form) return;
    event.preventDefault();
    form.toggleAttribute("data-over", name === "dragenter" || name === "dragover");
    const picture = [...event.dataTransfer.files].find((file) => file.type.startsWith("image/"));
    const restore = document.querySelector("form[data-restore]");
    if (name !== "drop" || !picture || !restore) return;
    const one = new DataTransfer();
    one.items.add(picture);
    restore.querySelector("input[type=file]").files = one.files;
    bring(restore, document.querySelector("[data-play-said]"));
  });
}

// One that carries nothing must not take away what is typed: the page is left only for an input.
async function bring(restore, said) {
  said.textContent = "Reading the picture";
  try {
    const answer = await fetch(restore.action, { method: "POST", body: new FormData(restore), headers: { accept: "application/json" } });
    const { location: there, note, detail } = await answer.json();
    if (answer.ok && (!there || there.includes("?"))) restore.submit();
    else said.textContent = note ?? detail;
  } catch { said.textContent = "No connection. The picture was not read."; }
}
