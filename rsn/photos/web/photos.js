const figure = f => f.figure;
const sure = f => f.doubt > 0;

async function unpacked(frame) {
  const [region, confidence, depth] = await unpack(frame.maps, 2, 1, frame.shape);
  return {region, confidence, depth};
}

const palette = data.palette.map(colour);
const onDoubt = (f, thousandths) => shade(errorScale, (1000 - thousandths) / f.doubt);
const depthKey = f => bar(depthScale, ...f.depth.map(metres));
const views = [
  {name: "Photo", paint: showPhoto, key: () => []},
  {name: "Depth", paint: painted((f, m) => i => m.depth[i] ? onDepth(f, m.depth[i]) : neutral), key: depthKey},
  {name: "Regions", paint: painted((f, m) => i => m.region[i] ? palette[f.colour[m.region[i] - 1]] : neutral), key: f => [element("span", `${f.area.length} regions; no two that touch share a colour`)]},
  {name: "Region support", paint: painted((f, m) => i => m.region[i] ? onDepth(f, f.mean[m.region[i] - 1]) : neutral), key: depthKey},
  {
    name: "Confidence",
    paint: painted((f, m) => i => sure(f) ? onDoubt(f, m.confidence[i]) : neutral),
    key: f => sure(f)
      ? [...bar(errorScale, "1.000", Math.max(0, 1 - f.doubt / 1000).toFixed(3)), element("span", "the least 1 % lie beyond")]
      : [element("span", "not predicted; the mirrored photo gives it")],
  },
];

function read(aloud) {
  const i = y * width + x, region = maps.region[i], depth = maps.depth[i];
  const told = {
    depth: depth ? metres(depth) : "none",
    confidence: sure(frame) ? (maps.confidence[i] / 1000).toFixed(3) : "not predicted",
    region: region ? `${region}, ${frame.area[region - 1].toLocaleString("en")} px` : "none",
    support: region ? metres(frame.mean[region - 1]) : "none",
    pixel: `row ${y * frame.step}, column ${x * frame.step}`,
  };
  for (const [name, text] of Object.entries(told)) at(`r-${name}`).textContent = text;
  cross();
  outline();
  if (aloud) at("spoken").textContent = `depth ${told.depth}, confidence ${told.confidence}, region ${told.region}`;
  if (cloud && cloud.frame !== frame) cloud.show(frame, maps);
}

/* Points in metres, x to the right, y up, the camera at the origin looking along -z; those between a near and a far surface are left
   out, as rsn.photos.scene.solid does. */
const SLANT = Math.tan(84 * Math.PI / 180);
function pointsOf(frame, maps) {
  const [height, width] = frame.shape, [fx, fy] = frame.focal, [cx, cy] = frame.centre;
  const steep = (one, other, focal) => !one || !other || Math.abs(other - one) > SLANT * (one + other) / 2 / focal;
  const positions = [], places = [];
  for (let y = 0, i = 0; y < height; y++)
    for (let x = 0; x < width; x++, i++) {
      const z = maps.depth[i];
      if (!z) continue;
      const left = x === 0 || steep(z, maps.depth[i - 1], fx), right = x === width - 1 || steep(z, maps.depth[i + 1], fx);
      const up = y === 0 || steep(z, maps.depth[i - width], fy), down = y === height - 1 || steep(z, maps.depth[i + width], fy);
      if (left && right && width > 1 || up && down && height > 1) continue;
      positions.push((x - cx) / fx * z / 1000, -(y - cy) / fy * z / 1000, -z / 1000);
      places.push((x + 0.5) / width, 1 - (y + 0.5) / height);
    }
  return [new Float32Array(positions), new Float32Array(places)];
}

class Cloud {
  constructor(canvas) {
    this.canvas = canvas;
    this.renderer = new three.WebGLRenderer({canvas, antialias: true, alpha: true});
    this.renderer.setPixelRatio(Math.min(2, window.devicePixelRatio));
    this.camera = new three.PerspectiveCamera(50, 1, 0.01, 2000);
    this.controls = new three.OrbitControls(this.camera, canvas);
    this.controls.enableZoom = false;
    this.scene = new three.Scene();
    this.material = new three.ShaderMaterial({
      uniforms: {photo: {value: null}, size: {value: 1}},
      vertexShader: `
        attribute vec2 place;
        uniform float size;
        varying vec2 at;
        void main() {
          at = place;
          vec4 seen = modelViewMatrix * vec4(position, 1.0);
          gl_Position = projectionMatrix * seen;
          gl_PointSize = clamp(size * -position.z / max(-seen.z, 0.01), 1.0, 32.0);
        }`,
      fragmentShader: `
        uniform sampler2D photo;
        varying vec2 at;
        void main() { gl_FragColor = vec4(texture2D(photo, at).rgb, 1.0); }`,
    });
    this.controls.addEventListener("change", () => this.draw());
    new ResizeObserver(() => this.resize()).observe(canvas);
    canvas.addEventListener("focus", () => { this.controls.enableZoom = true; });
    canvas.addEventListener("blur", () => { this.controls.enableZoom = false; });
    canvas.addEventListener("pointerdown", () => canvas.focus({preventScroll: true}));
    canvas.addEventListener("keydown", event => this.key(event));
  }

  show(frame, maps) {
    this.frame = frame;
    const [positions, places] = pointsOf(frame, maps);
    if (this.points) { this.scene.remove(this.points); this.points.geometry.dispose(); }
    const geometry = new three.BufferGeometry();
    geometry.setAttribute("position", new three.BufferAttribute(positions, 3));
    geometry.setAttribute("place", new three.BufferAttribute(places, 2));
    this.points = new three.Points(geometry, this.material);
    this.points.frustumCulled = false;
    this.scene.add(this.points);
    const far = [], n = positions.length / 3;
    for (let i = 0; i < n; i += Math.ceil(n / 1000)) far.push(-positions[3 * i + 2]);
    this.middle = far.sort((a, b) => a - b)[far.length >> 1] || 1;
    this.material.uniforms.photo.value?.dispose();
    const texture = new three.Texture(photo);
    texture.needsUpdate = true;
    texture.generateMipmaps = false;
    texture.minFilter = three.LinearFilter;
    this.material.uniforms.photo.value = texture;
    Object.assign(this.canvas.dataset, {photo: frame.id, points: n});
    this.from(0, 0);
    this.resize();
  }

  /* Look at the middle of the scene from where the photo was taken, turned about it by so many degrees. */
  from(turn, tilt) {
    this.controls.target.set(0, 0, -this.middle);
    const away = new three.Vector3(0, 0, this.middle);
    away.applyAxisAngle(new three.Vector3(1, 0, 0), -tilt * Math.PI / 180).applyAxisAngle(new three.Vector3(0, 1, 0), turn * Math.PI / 180);
    this.camera.position.copy(this.controls.target).add(away);
    this.controls.update();
    this.draw();
  }

  key(event) {
    const turn = {ArrowLeft: [-5, 0], ArrowRight: [5, 0], ArrowUp: [0, 5], ArrowDown: [0, -5]}[event.key];
    const nearer = {"+": 0.9, "=": 0.9, "-": 1 / 0.9}[event.key];
    if (!turn && !nearer) return;
    event.preventDefault();
    const away = this.camera.position.clone().sub(this.controls.target);
    const seen = new three.Spherical().setFromVector3(away);
    if (nearer) seen.radius *= nearer;
    else {
      seen.theta += turn[0] * Math.PI / 180;
      seen.phi = Math.max(0.01, Math.min(Math.PI - 0.01, seen.phi - turn[1] * Math.PI / 180));
    }
    this.camera.position.copy(this.controls.target).add(away.setFromSpherical(seen));
    this.controls.update();
    this.draw();
  }

  resize() {
    const {clientWidth, clientHeight} = this.canvas;
    if (!clientWidth || !this.frame) return;
    const [height, width] = this.frame.shape, [fx, fy] = this.frame.focal, shape = clientWidth / clientHeight;
    this.renderer.setSize(clientWidth, clientHeight, false);
    this.camera.aspect = shape;
    /* The whole photo is seen, whichever of its sides is short for the canvas. */
    const half = Math.max(height / 2 / fy, width / 2 / fx / shape);
    this.camera.fov = 2 * Math.atan(half) * 180 / Math.PI;
    this.camera.updateProjectionMatrix();
    this.material.uniforms.size.value = 1.5 * this.renderer.getPixelRatio() * clientHeight / 2 / half / Math.min(fx, fy);
    this.draw();
  }

  draw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => { this.waiting = false; this.renderer.render(this.scene, this.camera); });
  }
}

let cloud;
try {
  cloud = new Cloud(at("cloud"));
  [at("scene").hidden, at("flat").hidden] = [false, true];
  for (const [id, turn] of Object.entries({home: [0, 0], aside: [35, 10], above: [0, 50]})) at(id).addEventListener("click", () => cloud.from(...turn));
} catch (error) {
  cloud = undefined;
}
sideBySide(0, 1);
browse();
