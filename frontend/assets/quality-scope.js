// What numbers about labels are of: a task, or a whole dataset with the annotators whom its file names.

export const ofTask = (task) => ({
  path: `/tasks/${task.id}`,
  labels: `/tasks/${task.id}/labels`,
  page: `/task?id=${task.id}&view=people`,
  item: (id) => `/item?id=${id}&task=${task.id}`,
  settle: `/adjudicate?task=${task.id}`,
  single: task.overlap < 2 ? "This task wants one label an item, so people have nothing in common but gold. With two or more (“Edit”), agreement can be measured." : null,
});

export const ofDataset = (dataset) => ({
  path: `/datasets/${dataset.id}`,
  labels: `/datasets/${dataset.id}/named-labels`,
  page: `/agreement?dataset=${dataset.id}`,
  item: (id) => `/item?id=${id}`,
  settle: null,
  single: null,
});

// The address of every label of one annotator, who is a member or no more than a name in a file.
export const labelsOf = (scope, { annotator_id: id, name }) => `${scope.page}&${id ? `who=${id}` : `name=${encodeURIComponent(name)}`}`;
