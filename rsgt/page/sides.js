/* Two of a page's views to the sides of a line that moves, and all of them beside each other. The page has `views`: each a name,
   how it paints a canvas, and the key below the picture. */
const photo = new Image();
const painted = of => canvas => {
  const colourOf = of(frame, maps);
  draw(canvas, pixels => { for (let i = 0; i < size; i++) pixels[i] = colourOf(i); });
};
const showPhoto = canvas => canvas.getContext("2d").drawImage(photo, 0, 0, width, height);
const sides = {};

function side(name) {
  const view = views[sides[name]], canvas = at(name);
  canvas.getContext("2d").clearRect(0, 0, width, height);
  canvas.getContext("2d").drawImage(view.canvas, 0, 0);
  at(`key-${name}`).replaceChildren(element("b", `${view.name} `), ...view.key(frame));
}

function divide() {
  const share = at("divide").value;
  at("right").style.clipPath = `inset(0 0 0 ${share}%)`;
  at("line").style.left = `${share}%`;
  at("divide").setAttribute("aria-valuetext", `${share} % ${views[sides.left].name}, ${100 - share} % ${views[sides.right].name}`);
}

async function shown() {
  const of = frame;
  photo.src = `data:image/jpeg;base64,${frame.jpeg}`;
  await photo.decode();
  if (of !== frame) return;
  for (const view of views) view.paint(view.canvas);
  side("left"); side("right"); divide();
}

function sideBySide(left, right) {
  [sides.left, sides.right] = [left, right];
  for (const view of views) {
    const panel = element("figure", ""), picture = element("div", ""), mark = element("i", ""), canvas = element("canvas", "");
    [canvas.width, canvas.height] = [width, height];
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", view.name);
    [picture.className, mark.className] = ["panel", "cross"];
    picture.append(canvas, mark);
    pointing(picture);
    panel.append(picture, element("figcaption", view.name));
    at("panels").append(panel);
    view.canvas = canvas;
  }
  for (const name of ["left", "right"])
    choices(at(`${name}s`), name, views.map(view => view.name), k => { sides[name] = k; side(name); divide(); }, sides[name]);
  at("divide").addEventListener("input", divide);
}
