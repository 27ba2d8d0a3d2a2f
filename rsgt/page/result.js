const several = data.results.length > 1;
const figure = f => f.figure;
const signed = mm => `${mm < 0 ? "−" : "+"}${metres(Math.abs(mm))}`;

async function unpacked(frame) {
  const [region, category, bits, truth, ...predictions] = await unpack(frame.maps, 3, 1 + data.results.length);
  return {region, category, bits, truth, predictions};
}

const counts = (m, k, i) => m.bits[i] >> 2 * k & 1, nothing = (m, k, i) => m.bits[i] >> 2 * k & 2;
const onError = (f, mm) => shade(errorScale, 0.5 + mm / (2 * f.error));
const depthKey = (f, lacking) => [...bar(depthScale, ...f.depth.map(metres)), element("span", `the truth's range; grey: ${lacking}`)];

const views = [
  {name: "Photo", paint: showPhoto, key: () => []},
  {name: "Truth", paint: painted((f, m) => i => m.truth[i] ? onDepth(f, m.truth[i]) : neutral), key: f => depthKey(f, "no depth")},
  ...data.results.flatMap((name, k) => [
    {
      name: several ? `Prediction: ${name}` : "Prediction",
      paint: painted((f, m) => i => nothing(m, k, i) ? neutral : onDepth(f, m.predictions[k][i])),
      key: f => depthKey(f, "says nothing"),
    },
    {
      name: several ? `Error: ${name}` : "Error",
      paint: painted((f, m) => i => counts(m, k, i) ? onError(f, m.predictions[k][i] - m.truth[i]) : neutral),
      key: f => [...bar(errorScale, `${signed(-f.error)} too near`, `${signed(f.error)} too far`), element("span", "white: none; the largest 1 % lie beyond; grey: does not count")],
    },
  ]),
];

function read(aloud) {
  const i = y * width + x, region = maps.region[i], truth = maps.truth[i];
  const label = data.categories[maps.category[i]], known = truth ? metres(truth) : "none";
  const told = data.results.map((name, k) => {
    const mm = maps.predictions[k][i];
    const says = nothing(maps, k, i) ? `nothing, taken as ${data.least[k]} m` : metres(mm);
    return [says, counts(maps, k, i) ? `error ${signed(mm - truth)}` : "does not count"];
  });
  at("r-label").textContent = at("r-label").title = label;
  at("r-truth").textContent = known;
  told.forEach((lines, k) => { at(`r-${k}`).textContent = lines.join("\n"); });
  at("r-region").textContent = region ? `${region}, ${frame.area[region - 1].toLocaleString("en")} px` : "none";
  at("r-pixel").textContent = `row ${y * data.shrink}, column ${x * data.shrink}`;
  cross();
  outline();
  if (aloud) at("spoken").textContent = [label, `truth ${known}`, ...told.map((lines, k) => `${several ? data.results[k] : "prediction"} ${lines.join(", ")}`)].join("; ");
}

sideBySide(0, 3);
browse();
