const palette = data.palette.map(colour);
const dark = c => (255 << 24 | (c >> 16 & 255) * 0.4 << 16 | (c >> 8 & 255) * 0.4 << 8 | (c & 255) * 0.4) >>> 0;
const figure = f => f.rmse === null ? "" : `${f.rmse.toFixed(2)} m`;

async function unpacked(frame) {
  const [region, category, depth] = await unpack(frame.maps, 2, 1);
  return {region, category, depth};
}

/* Depth of a pixel's region there in mm: of its plane, or the region's mean. */
function support(f, i, r) {
  if (!f.plane) return f.mean[r - 1];
  const [a, b, c] = f.plane[r - 1];
  return 1 / (data.shrink * (a * (i % width) + b * Math.floor(i / width)) + c);
}

/* Each layer: the colour of pixel i, and the key below the picture. */
const layers = {
  Regions: {
    paint: (f, m) => i => {
      const r = m.region[i], c = r ? palette[f.colour[r - 1]] : neutral;
      const edge = i % width < width - 1 && m.region[i + 1] !== r || i + width < size && m.region[i + width] !== r;
      return edge ? dark(c) : c;
    },
    key: () => ["Colours tell neighbours apart and mean nothing else; grey: no region."],
  },
  Labels: {
    paint: (f, m) => { const of = Object.fromEntries(Object.entries(data.categories).map(([k, v]) => [k, colour(v[1])])); return i => of[m.category[i]]; },
    key: (f, m) => {
      const area = new Map();
      for (const c of m.category) area.set(c, (area.get(c) || 0) + 1);
      return [...area].sort((a, b) => b[1] - a[1]).slice(0, 8).map(([c]) => {
        const [name, hex] = data.categories[c], entry = element("span", name);
        entry.prepend(element("i", "", `background: ${hex}`));
        return entry;
      });
    },
  },
  Depth: { paint: (f, m) => i => m.depth[i] ? onDepth(f, m.depth[i]) : neutral, key: f => bar(depthScale, ...f.depth.map(metres)) },
  Support: { paint: (f, m) => i => m.region[i] ? onDepth(f, support(f, i, m.region[i])) : neutral, key: f => bar(depthScale, ...f.depth.map(metres)) },
  Error: {
    paint: (f, m) => i => m.depth[i] && m.region[i] ? shade(errorScale, Math.abs(support(f, i, m.region[i]) - m.depth[i]) / f.error) : neutral,
    key: f => bar(errorScale, "0 m", `${metres(f.error)} and more (largest 1 %)`),
  },
};

/* Of planes whose camera is known: where each faces. */
if (data.frames.some(f => f.facing)) layers.Normals = {
  paint: (f, m) => { const of = (f.facing || []).map(rgba); return i => m.region[i] && of.length ? of[m.region[i] - 1] : neutral; },
  key: () => Object.entries(data.facing).map(([words, hex]) => { const entry = element("span", words); entry.prepend(element("i", "", `background: ${hex}`)); return entry; }),
};

let layer = "Regions";

function paint() {
  const of = layers[layer].paint(frame, maps);
  draw(at("layer"), pixels => { for (let i = 0; i < size; i++) pixels[i] = of(i); });
  at("key").replaceChildren(...layers[layer].key(frame, maps));
}

function blend() {
  const share = at("blend").value;
  at("layer").style.opacity = share / 100;
  at("blend").setAttribute("aria-valuetext", `${share} % ${layer.toLowerCase()}`);
  at("over").textContent = layer.toLowerCase();
}

function read(aloud) {
  const i = y * width + x, region = maps.region[i], depth = maps.depth[i];
  const mm = region ? support(frame, i, region) : 0;
  const said = {
    label: data.categories[maps.category[i]][0],
    depth: depth ? metres(depth) : "none",
    support: region ? metres(mm) : "none",
    error: region && depth ? metres(Math.abs(mm - depth)) : "–",
    region: region ? `${region}, ${frame.area[region - 1].toLocaleString("en")} px` : "none",
    pixel: `row ${y * data.shrink}, column ${x * data.shrink}`,
  };
  for (const [name, text] of Object.entries(said)) at(`r-${name}`).textContent = text;
  cross();
  outline();
  if (aloud) at("spoken").textContent = `${said.label}, depth ${said.depth}, region ${said.region}, support ${said.support}`;
}

function shown() {
  at("photo").src = `data:image/jpeg;base64,${frame.jpeg}`;
  at("photo").alt = `Frame ${frame.id}`;
  paint();
  blend();
}

choices(at("layers"), "layer", Object.keys(layers), k => { layer = Object.keys(layers)[k]; paint(); blend(); });
at("blend").addEventListener("input", blend);
browse();
