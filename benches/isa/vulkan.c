// Compiles or runs one compute kernel on the first Vulkan device.
//
//   vulkan compile KERNEL.spv ENTRY BINDINGS
//     prints the driver's statistics, one "name = value" a line, and after "assembly:" the machine code.
//   vulkan run KERNEL.spv ENTRY BINDINGS
//     reads jobs from standard input, one a line: WORKGROUPS_X WORKGROUPS_Y FILE...
//     Each file is a buffer, which is written back. Prints a line after each job.
//
// The last binding is a uniform buffer, the others are storage buffers.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan.h>

enum { MAX_BINDINGS = 9, MAX_LINE = 4096 };

static VkInstance instance;
static VkPhysicalDevice adapter;
static VkDevice device;

static void check(VkResult result, const char *what) {
    if (result != VK_SUCCESS) {
        fprintf(stderr, "%s failed: %d\n", what, result);
        exit(1);
    }
}

static void *read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(1);
    }
    fseek(file, 0, SEEK_END);
    *size = ftell(file);
    rewind(file);
    void *bytes = malloc(*size + 1);
    if (fread(bytes, 1, *size, file) != *size) exit(1);
    fclose(file);
    return bytes;
}

static void open_device(int with_statistics) {
    VkApplicationInfo application = {VK_STRUCTURE_TYPE_APPLICATION_INFO, .apiVersion = VK_API_VERSION_1_2};
    VkInstanceCreateInfo instance_info = {VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO, .pApplicationInfo = &application};
    check(vkCreateInstance(&instance_info, NULL, &instance), "vkCreateInstance");
    uint32_t count = 1;
    vkEnumeratePhysicalDevices(instance, &count, &adapter);
    if (count == 0) {
        fprintf(stderr, "no Vulkan device\n");
        exit(1);
    }
    VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR statistics = {
        VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pipelineExecutableInfo = VK_TRUE};
    const char *extension = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    float priority = 1;
    VkDeviceQueueCreateInfo queue_info = {
        VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO, .queueCount = 1, .pQueuePriorities = &priority};
    VkDeviceCreateInfo device_info = {
        VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO, .queueCreateInfoCount = 1, .pQueueCreateInfos = &queue_info};
    if (with_statistics) {
        device_info.pNext = &statistics;
        device_info.enabledExtensionCount = 1;
        device_info.ppEnabledExtensionNames = &extension;
    }
    check(vkCreateDevice(adapter, &device_info, NULL, &device), "vkCreateDevice");
}

static VkDescriptorSetLayout set_layout;
static VkPipelineLayout pipeline_layout;

static VkPipeline compile(const char *path, const char *entry, uint32_t bindings, VkPipelineCreateFlags flags) {
    VkDescriptorSetLayoutBinding slots[MAX_BINDINGS] = {0};
    for (uint32_t i = 0; i < bindings; i++) {
        slots[i].binding = i;
        slots[i].descriptorType =
            i + 1 == bindings ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
        slots[i].descriptorCount = 1;
        slots[i].stageFlags = VK_SHADER_STAGE_COMPUTE_BIT;
    }
    VkDescriptorSetLayoutCreateInfo set_info = {
        VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO, .bindingCount = bindings, .pBindings = slots};
    check(vkCreateDescriptorSetLayout(device, &set_info, NULL, &set_layout), "vkCreateDescriptorSetLayout");
    VkPipelineLayoutCreateInfo layout_info = {
        VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO, .setLayoutCount = 1, .pSetLayouts = &set_layout};
    check(vkCreatePipelineLayout(device, &layout_info, NULL, &pipeline_layout), "vkCreatePipelineLayout");

    size_t size;
    uint32_t *code = read_file(path, &size);
    VkShaderModuleCreateInfo module_info = {
        VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO, .codeSize = size, .pCode = code};
    VkShaderModule module;
    check(vkCreateShaderModule(device, &module_info, NULL, &module), "vkCreateShaderModule");
    VkComputePipelineCreateInfo info = {VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .flags = flags,
        .stage = {VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
            .stage = VK_SHADER_STAGE_COMPUTE_BIT,
            .module = module,
            .pName = entry},
        .layout = pipeline_layout};
    VkPipeline pipeline;
    check(vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &info, NULL, &pipeline), "vkCreateComputePipelines");
    return pipeline;
}

// Calls a function of the extension, which the loader does not export.
#define EXTENSION(name) ((PFN_##name)vkGetDeviceProcAddr(device, #name))

static void print_statistics(VkPipeline pipeline) {
    VkPipelineExecutableInfoKHR info = {VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = pipeline};
    VkPipelineInfoKHR pipeline_info = {VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipeline};
    uint32_t count = 1;
    VkPipelineExecutablePropertiesKHR properties = {VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR};
    EXTENSION(vkGetPipelineExecutablePropertiesKHR)(device, &pipeline_info, &count, &properties);
    printf("Subgroup size = %u\n", properties.subgroupSize);

    EXTENSION(vkGetPipelineExecutableStatisticsKHR)(device, &info, &count, NULL);
    VkPipelineExecutableStatisticKHR *statistics = calloc(count, sizeof *statistics);
    for (uint32_t i = 0; i < count; i++) statistics[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
    EXTENSION(vkGetPipelineExecutableStatisticsKHR)(device, &info, &count, statistics);
    for (uint32_t i = 0; i < count; i++) {
        printf("%s = %llu\n", statistics[i].name, (unsigned long long)statistics[i].value.u64);
    }

    EXTENSION(vkGetPipelineExecutableInternalRepresentationsKHR)(device, &info, &count, NULL);
    VkPipelineExecutableInternalRepresentationKHR *texts = calloc(count, sizeof *texts);
    for (uint32_t i = 0; i < count; i++) {
        texts[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR;
    }
    EXTENSION(vkGetPipelineExecutableInternalRepresentationsKHR)(device, &info, &count, texts);
    for (uint32_t i = 0; i < count; i++) texts[i].pData = calloc(1, texts[i].dataSize + 1);
    EXTENSION(vkGetPipelineExecutableInternalRepresentationsKHR)(device, &info, &count, texts);
    // The machine code is the last of the driver's texts.
    printf("assembly:\n%s\n", (char *)texts[count - 1].pData);
}

typedef struct {
    VkBuffer buffer;
    VkDeviceMemory memory;
    void *bytes;
    size_t size;
} Buffer;

static Buffer load_buffer(const char *path, VkBufferUsageFlags usage) {
    Buffer result;
    void *content = read_file(path, &result.size);
    VkBufferCreateInfo info = {VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO, .size = result.size, .usage = usage};
    check(vkCreateBuffer(device, &info, NULL, &result.buffer), "vkCreateBuffer");
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(device, result.buffer, &needs);
    VkPhysicalDeviceMemoryProperties kinds;
    vkGetPhysicalDeviceMemoryProperties(adapter, &kinds);
    VkMemoryPropertyFlags wanted = VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT;
    uint32_t kind = 0;
    while (!(needs.memoryTypeBits >> kind & 1) || (kinds.memoryTypes[kind].propertyFlags & wanted) != wanted) kind++;
    VkMemoryAllocateInfo allocation = {
        VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO, .allocationSize = needs.size, .memoryTypeIndex = kind};
    check(vkAllocateMemory(device, &allocation, NULL, &result.memory), "vkAllocateMemory");
    check(vkBindBufferMemory(device, result.buffer, result.memory, 0), "vkBindBufferMemory");
    check(vkMapMemory(device, result.memory, 0, VK_WHOLE_SIZE, 0, &result.bytes), "vkMapMemory");
    memcpy(result.bytes, content, result.size);
    free(content);
    return result;
}

static void run_job(VkPipeline pipeline, uint32_t bindings, VkDescriptorPool sets, VkCommandPool commands, char *line) {
    uint32_t groups_x = atoi(strtok(line, " \n"));
    uint32_t groups_y = atoi(strtok(NULL, " \n"));

    VkDescriptorSetAllocateInfo set_info = {VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
        .descriptorPool = sets, .descriptorSetCount = 1, .pSetLayouts = &set_layout};
    VkDescriptorSet set;
    check(vkResetDescriptorPool(device, sets, 0), "vkResetDescriptorPool");
    check(vkAllocateDescriptorSets(device, &set_info, &set), "vkAllocateDescriptorSets");
    const char *paths[MAX_BINDINGS];
    Buffer buffers[MAX_BINDINGS];
    for (uint32_t i = 0; i < bindings; i++) {
        int is_last = i + 1 == bindings;
        paths[i] = strtok(NULL, " \n");
        buffers[i] = load_buffer(
            paths[i], is_last ? VK_BUFFER_USAGE_UNIFORM_BUFFER_BIT : VK_BUFFER_USAGE_STORAGE_BUFFER_BIT);
        VkDescriptorBufferInfo range = {buffers[i].buffer, 0, VK_WHOLE_SIZE};
        VkWriteDescriptorSet write = {VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET, .dstSet = set, .dstBinding = i,
            .descriptorCount = 1,
            .descriptorType = is_last ? VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER : VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
            .pBufferInfo = &range};
        vkUpdateDescriptorSets(device, 1, &write, 0, NULL);
    }

    VkQueue queue;
    vkGetDeviceQueue(device, 0, 0, &queue);
    VkCommandBufferAllocateInfo command_info = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
        .commandPool = commands, .commandBufferCount = 1};
    VkCommandBuffer command;
    check(vkAllocateCommandBuffers(device, &command_info, &command), "vkAllocateCommandBuffers");
    VkCommandBufferBeginInfo begin = {VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    vkBeginCommandBuffer(command, &begin);
    vkCmdBindPipeline(command, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    vkCmdBindDescriptorSets(command, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline_layout, 0, 1, &set, 0, NULL);
    vkCmdDispatch(command, groups_x, groups_y, 1);
    vkEndCommandBuffer(command);
    VkSubmitInfo submit = {VK_STRUCTURE_TYPE_SUBMIT_INFO, .commandBufferCount = 1, .pCommandBuffers = &command};
    check(vkQueueSubmit(queue, 1, &submit, VK_NULL_HANDLE), "vkQueueSubmit");
    check(vkQueueWaitIdle(queue), "vkQueueWaitIdle");
    vkFreeCommandBuffers(device, commands, 1, &command);

    for (uint32_t i = 0; i < bindings; i++) {
        FILE *file = fopen(paths[i], "wb");
        if (file == NULL || fwrite(buffers[i].bytes, 1, buffers[i].size, file) != buffers[i].size) {
            perror(paths[i]);
            exit(1);
        }
        fclose(file);
        vkDestroyBuffer(device, buffers[i].buffer, NULL);
        vkFreeMemory(device, buffers[i].memory, NULL);
    }
    puts("done");
    fflush(stdout);
}

int main(int count, char **arguments) {
    if (count != 5 || atoi(arguments[4]) > MAX_BINDINGS) {
        fprintf(stderr, "vulkan compile|run KERNEL.spv ENTRY BINDINGS\n");
        return 2;
    }
    int is_run = strcmp(arguments[1], "run") == 0;
    uint32_t bindings = atoi(arguments[4]);
    open_device(!is_run);
    VkPipelineCreateFlags statistics = VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR
        | VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
    VkPipeline pipeline = compile(arguments[2], arguments[3], bindings, is_run ? 0 : statistics);
    if (!is_run) {
        print_statistics(pipeline);
        return 0;
    }
    VkDescriptorPoolSize sizes[] = {
        {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, MAX_BINDINGS}, {VK_DESCRIPTOR_TYPE_UNIFORM_BUFFER, 1}};
    VkDescriptorPoolCreateInfo pool_info = {
        VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO, .maxSets = 1, .poolSizeCount = 2, .pPoolSizes = sizes};
    VkDescriptorPool sets;
    check(vkCreateDescriptorPool(device, &pool_info, NULL, &sets), "vkCreateDescriptorPool");
    VkCommandPoolCreateInfo command_info = {VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
    VkCommandPool commands;
    check(vkCreateCommandPool(device, &command_info, NULL, &commands), "vkCreateCommandPool");
    char line[MAX_LINE];
    while (fgets(line, sizeof line, stdin) != NULL) run_job(pipeline, bindings, sets, commands, line);
    return 0;
}
