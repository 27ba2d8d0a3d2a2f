/* What both pages do. Beside it stands the script of one: data of its own, and unpacked, shown, figure and read. */
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const at = id => document.getElementById(id);
let [height, width] = data.shape, size = height * width;
const metres = mm => `${(mm / 1000).toFixed(3)} m`;
const rgba = hex => (255 << 24 | parseInt(hex.slice(4, 6), 16) << 16 | parseInt(hex.slice(2, 4), 16) << 8 | parseInt(hex.slice(0, 2), 16)) >>> 0;
const colour = hex => rgba(hex.slice(1));
const [depthScale, errorScale] = data.scales.map(hex => Uint32Array.from({length: 256}, (_, i) => rgba(hex.slice(6 * i))));
const neutral = colour(data.neutral);

/* Undo browser.pack_maps: planes of bytes, the last maps as second differences. */
async function unpack(text, labels, depths, [height, width] = data.shape) {
  const size = height * width;
  const packed = Uint8Array.from(atob(text), c => c.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const b = new Uint8Array(await new Response(stream).arrayBuffer());
  const found = Array.from({length: labels + depths}, (_, k) => Int32Array.from({length: size}, (_, i) => (i += 3 * k * size, b[i] | b[i + size] << 8 | b[i + 2 * size] << 16)));
  for (const depth of found.slice(labels))
    for (let y = 0, i = 0; y < height; y++)
      for (let x = 0, row = 0; x < width; x++, i++) {
        row += depth[i] >>> 1 ^ -(depth[i] & 1);
        depth[i] = row + (y ? depth[i - width] : 0);
      }
  return found;
}

let frame = data.frames[0], wanted, maps, x = width >> 1, y = height >> 1, marked;

const opened = new Map();
const open = frame => opened.get(frame) || opened.set(frame, unpacked(frame)).get(frame);
const shade = (scale, share) => scale[Math.max(0, Math.min(255, Math.round(255 * share)))];
const onDepth = (frame, mm) => shade(depthScale, (mm - frame.depth[0]) / (frame.depth[1] - frame.depth[0] || 1));
const element = (kind, words, style = "") => { const made = document.createElement(kind); made.textContent = words; made.style.cssText = style; return made; };
const jpeg = frame => { const made = document.createElement("img"); made.alt = ""; made.src = `data:image/jpeg;base64,${frame.jpeg}`; return made; };
const draw = (canvas, paint) => {
  const context = canvas.getContext("2d"), image = context.createImageData(canvas.width, canvas.height);
  paint(new Uint32Array(image.data.buffer));
  context.putImageData(image, 0, 0);
};
const bar = (scale, low, high) => {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [256, 1];
  draw(canvas, pixels => pixels.set(scale));
  return [element("span", low), canvas, element("span", high)];
};

/* Outline the region under the cross: white inside, black outside. */
function outline() {
  const label = maps.region[y * width + x], is = i => maps.region[i] === label;
  if (marked === label) return;
  marked = label;
  draw(at("mark"), pixels => {
    if (label) for (let i = 0; i < size; i++) {
      const column = i % width, inside = is(i);
      if (column && is(i - 1) !== inside || column < width - 1 && is(i + 1) !== inside || i >= width && is(i - width) !== inside || i + width < size && is(i + width) !== inside)
        pixels[i] = inside ? 0xffffffff : 0xff000000;
    }
  });
}

function cross() {
  for (const one of document.querySelectorAll(".cross")) {
    one.style.left = `${100 * (x + 0.5) / width}%`;
    one.style.top = `${100 * (y + 0.5) / height}%`;
  }
}

async function show(next) {
  wanted = next;
  const found = await open(next);
  if (wanted !== next) return;
  [frame, maps, marked] = [next, found, undefined];
  if (frame.shape) sized(frame.shape);
  at("title").textContent = frame.title ?? `Frame ${frame.id}`;
  at("about").textContent = frame.about;
  await shown();
  read(true);
}

/* Radio buttons, each beside what an entry, text or elements, shows. */
function choices(parent, name, entries, change, first = 0) {
  parent.replaceChildren(...entries.map((entry, k) => {
    const label = element("label", ""), input = element("input", ""), told = element("span", "");
    [input.type, input.name, input.value, input.checked] = ["radio", name, k, k === first];
    told.append(...[entry].flat());
    label.append(input, told);
    return label;
  }));
  parent.addEventListener("change", event => change(Number(event.target.value)));
}

function pointing(picture) {
  const point = event => {
    const box = picture.getBoundingClientRect();
    x = Math.max(0, Math.min(width - 1, Math.floor((event.clientX - box.left) / box.width * width)));
    y = Math.max(0, Math.min(height - 1, Math.floor((event.clientY - box.top) / box.height * height)));
    if (maps) read(false);
  };
  picture.addEventListener("pointermove", point);
  picture.addEventListener("pointerdown", point);
}

/* What is shown has another size from now on: of photos, each has its own. */
function sized(shape) {
  [height, width] = shape;
  [size, x, y] = [height * width, width >> 1, height >> 1];
  at("stage").style.aspectRatio = `${width} / ${height}`;
  for (const canvas of document.querySelectorAll(".stage canvas, .panel canvas")) [canvas.width, canvas.height] = [width, height];
}

function browse() {
  sized(data.shape);
  choices(at("strip"), "frame", data.frames.map(f => {
    const number = element("b", f.id);
    const word = element("span", `${data.word ?? "Frame"} `);
    word.className = "hidden";
    number.prepend(word);
    return [jpeg(f), number, ` ${figure(f)}`];
  }), k => show(data.frames[k]).catch(failed));
  pointing(at("stage"));
  at("stage").addEventListener("keydown", event => {
    const move = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key];
    if (!move || !maps) return;
    event.preventDefault();
    const step = event.shiftKey ? 10 : 1;
    x = Math.max(0, Math.min(width - 1, x + step * move[0]));
    y = Math.max(0, Math.min(height - 1, y + step * move[1]));
    read(true);
  });
  at("browser").hidden = false;
  show(frame).catch(failed);
}
const failed = error => { at("about").textContent = `This browser cannot unpack the frames (${error.message}); a newer one can.`; };

function sortable(table) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, k) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      heads.forEach(other => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down < 0 ? "descending" : "ascending");
      const value = row => { const text = row.cells[k].textContent; return isNaN(text) ? text : Number(text); };
      const order = (a, b) => typeof a === typeof b ? (a < b ? -1 : a > b ? 1 : 0) : typeof a === "number" ? -1 : 1;
      body.append(...[...body.rows].sort((a, b) => down * order(value(a), value(b))));
    });
  });
}

document.querySelector("nav").replaceChildren(...[...document.querySelectorAll("h2")].map(h => {
  const link = element("a", h.textContent);
  link.href = `#${h.id}`;
  return link;
}));
document.querySelectorAll("table").forEach(sortable);
